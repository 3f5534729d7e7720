//! What the second form of the listings says beside the first: kinds of objects and facts that the first leaves out.
//! Each line says `"form": 2`, so that a listing of this form can be read as one of the first.
//!
//! Of options only names are listed, never values: those of servers and user mappings hold passwords, and even a hash of
//! one would tell whoever guesses it. Each query is asked from a major version on, since older servers lack its catalogue.

/// A query, and the major version from which on servers can answer it.
pub(super) type Query = (u32, &'static str, &'static str);

/// What objects are.
pub(super) const OBJECTS: &[Query] = &[
    (
        14,
        "foreign-data wrappers",
        "SELECT json_build_object('kind', 'foreign-data wrapper', 'form', 2, 'name', w.fdwname,
             'handler', nullif(w.fdwhandler, 0)::regprocedure::text, 'validator', nullif(w.fdwvalidator, 0)::regprocedure::text,
             'options', (SELECT json_agg(o.option_name ORDER BY o.option_name COLLATE \"C\") FROM pg_options_to_table(w.fdwoptions) o))::text
         FROM pg_foreign_data_wrapper w WHERE {own:pg_foreign_data_wrapper w}",
    ),
    (
        14,
        "details of foreign servers",
        "SELECT json_build_object('kind', 'foreign server', 'form', 2, 'name', s.srvname, 'type', s.srvtype, 'version', s.srvversion,
             'options', (SELECT json_agg(o.option_name ORDER BY o.option_name COLLATE \"C\") FROM pg_options_to_table(s.srvoptions) o))::text
         FROM pg_foreign_server s WHERE {own:pg_foreign_server s}",
    ),
    (
        14,
        "options of foreign tables",
        "SELECT json_build_object('kind', 'foreign table', 'form', 2, 'name', format('%I.%I', n.nspname, c.relname),
             'options', (SELECT json_agg(o.option_name ORDER BY o.option_name COLLATE \"C\") FROM pg_options_to_table(f.ftoptions) o),
             'column-options', (SELECT json_agg(format('%s %s', quote_ident(a.attname), o.option_name)
                                                ORDER BY a.attname COLLATE \"C\", o.option_name COLLATE \"C\")
                                FROM pg_attribute a, pg_options_to_table(a.attfdwoptions) o
                                WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped))::text
         FROM pg_foreign_table f JOIN pg_class c ON c.oid = f.ftrelid JOIN pg_namespace n ON n.oid = c.relnamespace
         WHERE {mine} AND {own:pg_class c}",
    ),
    (
        14,
        "procedural languages",
        "SELECT json_build_object('kind', 'language', 'form', 2, 'name', l.lanname, 'trusted', l.lanpltrusted,
             'handler', nullif(l.lanplcallfoid, 0)::regprocedure::text, 'inline', nullif(l.laninline, 0)::regprocedure::text,
             'validator', nullif(l.lanvalidator, 0)::regprocedure::text)::text
         FROM pg_language l WHERE l.lanispl AND {own:pg_language l}",
    ),
    (
        14,
        "access methods",
        // OIDs from 16384 on are the users' (src/include/access/transam.h, FirstNormalObjectId).
        "SELECT json_build_object('kind', 'access method', 'form', 2, 'name', a.amname, 'type', a.amtype, 'handler', a.amhandler::text)::text
         FROM pg_am a WHERE a.oid >= 16384 AND {own:pg_am a}",
    ),
    (
        14,
        "transforms",
        "SELECT json_build_object('kind', 'transform', 'form', 2, 'name', format('for %s in %I', format_type(t.trftype, NULL), l.lanname),
             'from-sql', nullif(t.trffromsql, 0)::regprocedure::text, 'to-sql', nullif(t.trftosql, 0)::regprocedure::text)::text
         FROM pg_transform t JOIN pg_language l ON l.oid = t.trflang WHERE t.oid >= 16384 AND {own:pg_transform t}",
    ),
    (
        14,
        "conversions",
        "SELECT json_build_object('kind', 'conversion', 'form', 2, 'name', format('%I.%I', n.nspname, o.conname),
             'for', pg_encoding_to_char(o.conforencoding), 'to', pg_encoding_to_char(o.contoencoding), 'function', o.conproc::text,
             'default', o.condefault)::text
         FROM pg_conversion o JOIN pg_namespace n ON n.oid = o.connamespace WHERE {mine} AND {own:pg_conversion o}",
    ),
    (
        14,
        "text search parsers",
        "SELECT json_build_object('kind', 'text search parser', 'form', 2, 'name', format('%I.%I', n.nspname, p.prsname),
             'start', p.prsstart::text, 'token', p.prstoken::text, 'end', p.prsend::text, 'headline', nullif(p.prsheadline, 0)::regprocedure::text,
             'types', p.prslextype::text)::text
         FROM pg_ts_parser p JOIN pg_namespace n ON n.oid = p.prsnamespace WHERE {mine} AND {own:pg_ts_parser p}",
    ),
    (
        14,
        "text search templates",
        "SELECT json_build_object('kind', 'text search template', 'form', 2, 'name', format('%I.%I', n.nspname, t.tmplname),
             'init', nullif(t.tmplinit, 0)::regprocedure::text, 'lexize', t.tmpllexize::text)::text
         FROM pg_ts_template t JOIN pg_namespace n ON n.oid = t.tmplnamespace WHERE {mine} AND {own:pg_ts_template t}",
    ),
    (
        14,
        "what text search objects are made of",
        "SELECT json_build_object('kind', 'text search configuration', 'form', 2, 'name', format('%I.%I', n.nspname, o.cfgname),
             'parser', (SELECT format('%I.%I', s.nspname, p.prsname) FROM pg_ts_parser p JOIN pg_namespace s ON s.oid = p.prsnamespace
                        WHERE p.oid = o.cfgparser))::text
         FROM pg_ts_config o JOIN pg_namespace n ON n.oid = o.cfgnamespace WHERE {mine} AND {own:pg_ts_config o}
         UNION ALL
         SELECT json_build_object('kind', 'text search dictionary', 'form', 2, 'name', format('%I.%I', n.nspname, o.dictname),
             'template', (SELECT format('%I.%I', s.nspname, t.tmplname) FROM pg_ts_template t JOIN pg_namespace s ON s.oid = t.tmplnamespace
                          WHERE t.oid = o.dicttemplate))::text
         FROM pg_ts_dict o JOIN pg_namespace n ON n.oid = o.dictnamespace WHERE {mine} AND {own:pg_ts_dict o}",
    ),
    (
        14,
        "operator families",
        // What belongs to a class is said there; a family holds the rest, as `pg_dump` has it.
        "SELECT json_build_object('kind', 'operator family', 'form', 2, 'name', format('%I.%I', n.nspname, f.opfname),
             'method', (SELECT amname FROM pg_am a WHERE a.oid = f.opfmethod),
             'members', {members:pg_opfamily f})::text
         FROM pg_opfamily f JOIN pg_namespace n ON n.oid = f.opfnamespace WHERE {mine} AND {own:pg_opfamily f}",
    ),
    (
        14,
        "members of operator classes",
        "SELECT json_build_object('kind', 'operator class', 'form', 2, 'name', format('%I.%I', n.nspname, o.opcname),
             'method', (SELECT amname FROM pg_am a WHERE a.oid = o.opcmethod),
             'family', (SELECT format('%I.%I', s.nspname, f.opfname) FROM pg_opfamily f JOIN pg_namespace s ON s.oid = f.opfnamespace
                        WHERE f.oid = o.opcfamily),
             'storage', CASE WHEN o.opckeytype <> 0 THEN format_type(o.opckeytype, NULL) END,
             'members', {members:pg_opclass o})::text
         FROM pg_opclass o JOIN pg_namespace n ON n.oid = o.opcnamespace WHERE {mine} AND {own:pg_opclass o}",
    ),
    (
        14,
        "estimators of operators",
        "SELECT json_build_object('kind', 'operator', 'form', 2, 'name', o.oid::regoperator::text,
             'restrict', nullif(o.oprrest, 0)::regprocedure::text, 'join', nullif(o.oprjoin, 0)::regprocedure::text)::text
         FROM pg_operator o JOIN pg_namespace n ON n.oid = o.oprnamespace WHERE {mine} AND {own:pg_operator o}",
    ),
    (
        14,
        "details of aggregates",
        "SELECT json_build_object('kind', 'aggregate', 'form', 2, 'name', p.oid::regprocedure::text,
             'serialise', a.aggserialfn::text, 'deserialise', a.aggdeserialfn::text, 'final-extra', a.aggfinalextra, 'final-modify', a.aggfinalmodify,
             'moving-transition', a.aggmtransfn::text, 'moving-inverse', a.aggminvtransfn::text, 'moving-final', a.aggmfinalfn::text,
             'moving-final-extra', a.aggmfinalextra, 'moving-final-modify', a.aggmfinalmodify,
             'moving-state', CASE WHEN a.aggmtranstype <> 0 THEN format_type(a.aggmtranstype, NULL) END, 'moving-initial', a.aggminitval,
             'space', a.aggtransspace, 'moving-space', a.aggmtransspace, 'sort', nullif(a.aggsortop, 0)::regoperator::text)::text
         FROM pg_aggregate a JOIN pg_proc p ON p.oid = a.aggfnoid JOIN pg_namespace n ON n.oid = p.pronamespace
         WHERE {mine} AND {own:pg_proc p}",
    ),
    (
        14,
        "details of base types",
        "SELECT json_build_object('kind', 'type', 'form', 2, 'name', format('%I.%I', n.nspname, t.typname),
             'input', t.typinput::text, 'output', t.typoutput::text, 'receive', t.typreceive::text, 'send', t.typsend::text,
             'modifier-in', t.typmodin::text, 'modifier-out', t.typmodout::text, 'analyse', t.typanalyze::text, 'subscript', t.typsubscript::text,
             'length', t.typlen, 'by-value', t.typbyval, 'alignment', t.typalign, 'storage', t.typstorage, 'category', t.typcategory,
             'preferred', t.typispreferred, 'delimiter', t.typdelim, 'collatable', t.typcollation <> 0,
             'element', CASE WHEN t.typelem <> 0 THEN format_type(t.typelem, NULL) END)::text
         FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace
         WHERE t.typtype = 'b' AND t.typcategory <> 'A' AND {mine} AND {own:pg_type t}",
    ),
    (
        14,
        "details of range types",
        "SELECT json_build_object('kind', 'type', 'form', 2, 'name', format('%I.%I', n.nspname, t.typname),
             'canonical', nullif(g.rngcanonical, 0)::regprocedure::text, 'difference', nullif(g.rngsubdiff, 0)::regprocedure::text,
             'collation', nullif(g.rngcollation, 0)::regcollation::text, 'multirange', format_type(g.rngmultitypid, NULL),
             'operator-class', (SELECT format('%I.%I', s.nspname, o.opcname) FROM pg_opclass o JOIN pg_namespace s ON s.oid = o.opcnamespace
                                WHERE o.oid = g.rngsubopc))::text
         FROM pg_range g JOIN pg_type t ON t.oid = g.rngtypid JOIN pg_namespace n ON n.oid = t.typnamespace
         WHERE {mine} AND {own:pg_type t}",
    ),
    (
        14,
        "locales of collations",
        // The columns' names differ between versions.
        "SELECT json_build_object('kind', 'collation', 'form', 2, 'name', format('%I.%I', n.nspname, o.collname),
             'locale', coalesce(to_jsonb(o)->>'colllocale', to_jsonb(o)->>'colliculocale'), 'rules', to_jsonb(o)->>'collicurules')::text
         FROM pg_collation o JOIN pg_namespace n ON n.oid = o.collnamespace WHERE {mine} AND {own:pg_collation o}",
    ),
    (
        14,
        "details of publications",
        "SELECT json_build_object('kind', 'publication', 'form', 2, 'name', p.pubname, 'generated-columns', to_jsonb(p)->>'pubgencols')::text
         FROM pg_publication p WHERE {own:pg_publication p}",
    ),
    (
        15,
        "published schemas",
        "SELECT json_build_object('kind', 'published schema', 'form', 2, 'on', p.pubname, 'name', s.pnnspid::regnamespace::text)::text
         FROM pg_publication_namespace s JOIN pg_publication p ON p.oid = s.pnpubid WHERE {own:pg_publication p}",
    ),
    (
        14,
        "subscriptions",
        // Those that a restore can bring back: only a superuser may read and make them. Whether they run changes on the way.
        "SELECT json_build_object('kind', 'subscription', 'form', 2, 'name', s.subname, 'binary', s.subbinary, 'synchronous-commit', s.subsynccommit,
             'publications', (SELECT json_agg(p ORDER BY p COLLATE \"C\") FROM unnest(s.subpublications) p),
             'comment', obj_description(s.oid, 'pg_subscription'))::text
         FROM pg_subscription s
         WHERE current_setting('is_superuser') = 'on' AND s.subdbid = (SELECT oid FROM pg_database WHERE datname = current_database())",
    ),
    (
        14,
        "statistics targets of indexes",
        "SELECT json_build_object('kind', 'index statistics', 'form', 2, 'on', i.indrelid::regclass::text, 'name', c.relname,
             'targets', json_agg(format('%s %s', a.attnum, a.attstattarget) ORDER BY a.attnum))::text
         FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_namespace n ON n.oid = c.relnamespace
              JOIN pg_attribute a ON a.attrelid = c.oid
         WHERE a.attstattarget >= 0 AND NOT a.attisdropped AND {mine}
           AND i.indisready AND (i.indisvalid OR (SELECT t.relkind = 'p' FROM pg_class t WHERE t.oid = i.indrelid))
           AND NOT EXISTS (SELECT FROM pg_depend x WHERE x.classid = 'pg_class'::regclass AND x.objid = i.indrelid AND x.deptype = 'e')
         GROUP BY i.indrelid, c.relname",
    ),
    (
        14,
        "targets of extended statistics",
        "SELECT json_build_object('kind', 'statistics', 'form', 2, 'name', format('%I.%I', n.nspname, s.stxname),
             'target', nullif(s.stxstattarget, -1))::text
         FROM pg_statistic_ext s JOIN pg_namespace n ON n.oid = s.stxnamespace WHERE {mine}",
    ),
    (
        14,
        "comments on other objects",
        // Objects of these catalogues have no comment in lines of their own.
        "SELECT json_build_object('kind', 'comment', 'form', 2, 'name', format('on %s %s', i.type, i.identity), 'comment', d.description)::text
         FROM pg_description d, pg_identify_object(d.classoid, d.objoid, d.objsubid) i
         WHERE d.objoid >= 16384
           AND d.classoid IN ('pg_am'::regclass, 'pg_cast'::regclass, 'pg_collation'::regclass, 'pg_conversion'::regclass,
               'pg_foreign_data_wrapper'::regclass, 'pg_foreign_server'::regclass, 'pg_language'::regclass, 'pg_opclass'::regclass,
               'pg_operator'::regclass, 'pg_opfamily'::regclass, 'pg_transform'::regclass, 'pg_ts_config'::regclass, 'pg_ts_dict'::regclass,
               'pg_ts_parser'::regclass, 'pg_ts_template'::regclass)
           AND NOT EXISTS (SELECT FROM pg_depend x WHERE x.classid = d.classoid AND x.objid = d.objoid AND x.deptype = 'e')",
    ),
];

/// Whose objects are, and who may use them.
pub(super) const OWNERSHIP: &[Query] = &[
    (
        14,
        "owners of other objects",
        "SELECT json_build_object('kind', o.kind, 'form', 2, 'name', o.name, 'owner', pg_get_userbyid(o.owner))::text FROM (
             SELECT 'operator' AS kind, o.oid::regoperator::text AS name, o.oprowner AS owner
             FROM pg_operator o JOIN pg_namespace n ON n.oid = o.oprnamespace WHERE {mine} AND {own:pg_operator o}
             UNION ALL SELECT 'operator class', format('%I.%I', n.nspname, o.opcname), o.opcowner
             FROM pg_opclass o JOIN pg_namespace n ON n.oid = o.opcnamespace WHERE {mine} AND {own:pg_opclass o}
             UNION ALL SELECT 'operator family', format('%I.%I', n.nspname, o.opfname), o.opfowner
             FROM pg_opfamily o JOIN pg_namespace n ON n.oid = o.opfnamespace WHERE {mine} AND {own:pg_opfamily o}
             UNION ALL SELECT 'collation', format('%I.%I', n.nspname, o.collname), o.collowner
             FROM pg_collation o JOIN pg_namespace n ON n.oid = o.collnamespace WHERE {mine} AND {own:pg_collation o}
             UNION ALL SELECT 'conversion', format('%I.%I', n.nspname, o.conname), o.conowner
             FROM pg_conversion o JOIN pg_namespace n ON n.oid = o.connamespace WHERE {mine} AND {own:pg_conversion o}
             UNION ALL SELECT 'text search configuration', format('%I.%I', n.nspname, o.cfgname), o.cfgowner
             FROM pg_ts_config o JOIN pg_namespace n ON n.oid = o.cfgnamespace WHERE {mine} AND {own:pg_ts_config o}
             UNION ALL SELECT 'text search dictionary', format('%I.%I', n.nspname, o.dictname), o.dictowner
             FROM pg_ts_dict o JOIN pg_namespace n ON n.oid = o.dictnamespace WHERE {mine} AND {own:pg_ts_dict o}
             UNION ALL SELECT 'statistics', format('%I.%I', n.nspname, o.stxname), o.stxowner
             FROM pg_statistic_ext o JOIN pg_namespace n ON n.oid = o.stxnamespace WHERE {mine} AND {own:pg_statistic_ext o}
             UNION ALL SELECT 'event trigger', o.evtname, o.evtowner FROM pg_event_trigger o WHERE {own:pg_event_trigger o}
             UNION ALL SELECT 'publication', o.pubname, o.pubowner FROM pg_publication o WHERE {own:pg_publication o}
             UNION ALL SELECT 'subscription', o.subname, o.subowner FROM pg_subscription o
             WHERE current_setting('is_superuser') = 'on' AND o.subdbid = (SELECT oid FROM pg_database WHERE datname = current_database())
         ) o",
    ),
    (
        14,
        "owners and grants of base types",
        "SELECT json_build_object('kind', 'type', 'form', 2, 'name', format('%I.%I', n.nspname, t.typname), 'owner', pg_get_userbyid(t.typowner),
             'grants', {grants:T t.typacl t.typowner})::text
         FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace
         WHERE t.typtype = 'b' AND t.typcategory <> 'A' AND {mine} AND {own:pg_type t}",
    ),
    (
        14,
        "owners and grants of foreign-data wrappers",
        "SELECT json_build_object('kind', 'foreign-data wrapper', 'form', 2, 'name', w.fdwname, 'owner', pg_get_userbyid(w.fdwowner),
             'grants', {grants:F w.fdwacl w.fdwowner})::text
         FROM pg_foreign_data_wrapper w WHERE {own:pg_foreign_data_wrapper w}",
    ),
    (
        14,
        "owners and grants of foreign servers",
        "SELECT json_build_object('kind', 'foreign server', 'form', 2, 'name', s.srvname, 'owner', pg_get_userbyid(s.srvowner),
             'grants', {grants:S s.srvacl s.srvowner})::text
         FROM pg_foreign_server s WHERE {own:pg_foreign_server s}",
    ),
    (
        14,
        "owners and grants of languages",
        "SELECT json_build_object('kind', 'language', 'form', 2, 'name', l.lanname, 'owner', pg_get_userbyid(l.lanowner),
             'grants', {grants:l l.lanacl l.lanowner})::text
         FROM pg_language l WHERE l.lanispl AND {own:pg_language l}",
    ),
    (
        14,
        "user mappings",
        // The view hides options from whoever may not see them, as it does from `pg_dump`.
        "SELECT json_build_object('kind', 'user mapping', 'form', 2, 'on', m.srvname,
             'name', CASE WHEN m.umuser = 0 THEN 'PUBLIC' ELSE pg_get_userbyid(m.umuser)::text END,
             'options', (SELECT json_agg(o.option_name ORDER BY o.option_name COLLATE \"C\") FROM pg_options_to_table(m.umoptions) o))::text
         FROM pg_user_mappings m",
    ),
];
