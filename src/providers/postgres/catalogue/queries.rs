//! The queries of the listings in every form, and all of the first form, which stay as they are: older backups are compared
//! with what they say. Each gives one column of JSON text; `{mine}` and `{own:…}` are filled in by the caller.
//!
//! Left out on purpose: what a dump and restore changes without changing the meaning (attribute numbers, names that
//! the server makes for clones of a constraint on partitions, the order of inherited columns), and what differs between servers (tablespaces, versions
//! of extensions). NOT NULL constraints are listed with their columns.
//! `pg_attver` is a stamp of the server's own: PostgreSQL 15.20 was seen to write it into the options of every new
//! column, with another value in every table; its `pg_dump` does not carry it.

/// What objects are.
pub(super) const OBJECTS: &[(&str, &str)] = &[
    (
        "schemas",
        "SELECT json_build_object('kind', 'schema', 'name', n.nspname, 'comment', obj_description(n.oid, 'pg_namespace'))::text
         FROM pg_namespace n WHERE {mine} AND {own:pg_namespace n}",
    ),
    (
        "extensions",
        "SELECT json_build_object('kind', 'extension', 'name', e.extname, 'schema', e.extnamespace::regnamespace)::text
         FROM pg_extension e WHERE e.extname <> 'pg_cron'",
    ),
    (
        "relations",
        "SELECT json_build_object(
             'kind', CASE c.relkind WHEN 'r' THEN 'table' WHEN 'p' THEN 'partitioned table' WHEN 'v' THEN 'view'
                     WHEN 'm' THEN 'materialised view' WHEN 'f' THEN 'foreign table' ELSE 'composite type' END,
             'name', format('%I.%I', n.nspname, c.relname),
             'persistence', c.relpersistence, 'populated', c.relispopulated,
             'options', (SELECT json_agg(o ORDER BY o COLLATE \"C\") FROM unnest(c.reloptions) o),
             'row-security', c.relrowsecurity, 'force-row-security', c.relforcerowsecurity,
             'replica-identity', c.relreplident,
             'access-method', (SELECT amname FROM pg_am a WHERE a.oid = c.relam AND c.relkind IN ('r', 'm')),
             'partition-key', CASE WHEN c.relkind = 'p' THEN pg_get_partkeydef(c.oid) END,
             'partition-bound', pg_get_expr(c.relpartbound, c.oid),
             'parents', (SELECT json_agg(i.inhparent::regclass::text ORDER BY i.inhseqno) FROM pg_inherits i WHERE i.inhrelid = c.oid),
             'of-type', CASE WHEN c.reloftype <> 0 THEN format_type(c.reloftype, NULL) END,
             'definition', CASE WHEN c.relkind IN ('v', 'm') THEN pg_get_viewdef(c.oid) END,
             'foreign-server', (SELECT s.srvname FROM pg_foreign_table f JOIN pg_foreign_server s ON s.oid = f.ftserver WHERE f.ftrelid = c.oid),
             'comment', obj_description(c.oid, 'pg_class'))::text
         FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
         WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f', 'c') AND {mine} AND {own:pg_class c}",
    ),
    (
        "columns",
        "SELECT json_build_object('kind', 'column', 'on', format('%I.%I', n.nspname, c.relname), 'name', a.attname,
             'position', CASE WHEN c.relispartition OR NOT EXISTS (SELECT FROM pg_inherits i WHERE i.inhrelid = c.oid)
                              THEN row_number() OVER (PARTITION BY a.attrelid ORDER BY a.attnum) END,
             'type', format_type(a.atttypid, a.atttypmod), 'not-null', a.attnotnull,
             'default', pg_get_expr(d.adbin, d.adrelid), 'generated', a.attgenerated, 'identity', a.attidentity,
             'collation', CASE WHEN a.attcollation <> t.typcollation THEN a.attcollation::regcollation::text END,
             'storage', a.attstorage, 'compression', a.attcompression,
             'statistics', nullif(a.attstattarget, -1),
             'options', (SELECT json_agg(o ORDER BY o COLLATE \"C\") FROM unnest(a.attoptions) o WHERE NOT starts_with(o, 'pg_attver=')),
             'comment', col_description(c.oid, a.attnum))::text
         FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace
              JOIN pg_type t ON t.oid = a.atttypid
              LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
         WHERE a.attnum > 0 AND NOT a.attisdropped AND c.relkind IN ('r', 'p', 'v', 'm', 'f', 'c') AND {mine} AND {own:pg_class c}",
    ),
    (
        "constraints",
        "SELECT json_build_object('kind', 'constraint',
             'on', CASE WHEN k.conrelid <> 0 THEN k.conrelid::regclass::text ELSE format_type(k.contypid, NULL) END,
             'name', k.conname, 'definition', pg_get_constraintdef(k.oid), 'validated', k.convalidated,
             'no-inherit', k.contype = 'c' AND k.connoinherit, 'comment', obj_description(k.oid, 'pg_constraint'))::text
         FROM pg_constraint k JOIN pg_namespace n ON n.oid = k.connamespace
         WHERE k.contype IN ('c', 'f', 'p', 'u', 'x') AND (k.contype <> 'f' OR k.conparentid = 0) AND {mine} AND {own:pg_constraint k}
           AND NOT EXISTS (SELECT FROM pg_depend x WHERE x.classid = 'pg_class'::regclass AND x.objid = k.conrelid AND x.deptype = 'e')",
    ),
    (
        "indexes",
        "SELECT json_build_object('kind', 'index', 'on', i.indrelid::regclass::text, 'name', c.relname,
             'definition', pg_get_indexdef(i.indexrelid), 'valid', i.indisvalid, 'clustered', i.indisclustered,
             'replica-identity', i.indisreplident,
             'parent', (SELECT h.inhparent::regclass::text FROM pg_inherits h WHERE h.inhrelid = c.oid),
             'comment', obj_description(c.oid, 'pg_class'))::text
         FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_namespace n ON n.oid = c.relnamespace
         WHERE {mine}
           -- What `pg_dump` leaves out, because a failed CREATE INDEX CONCURRENTLY left it behind.
           AND i.indisready AND (i.indisvalid OR (SELECT t.relkind = 'p' FROM pg_class t WHERE t.oid = i.indrelid))
           AND NOT EXISTS (SELECT FROM pg_depend x WHERE x.classid = 'pg_class'::regclass AND x.objid = i.indrelid AND x.deptype = 'e')",
    ),
    (
        "sequences",
        "SELECT json_build_object('kind', 'sequence', 'name', format('%I.%I', n.nspname, c.relname),
             'type', format_type(s.seqtypid, NULL), 'start', s.seqstart, 'increment', s.seqincrement, 'minimum', s.seqmin,
             'maximum', s.seqmax, 'cache', s.seqcache, 'cycle', s.seqcycle,
             'owned-by', (SELECT format('%s.%I', d.refobjid::regclass, a.attname) FROM pg_depend d
                          JOIN pg_attribute a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid
                          WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype IN ('a', 'i')
                            AND d.refclassid = 'pg_class'::regclass),
             'comment', obj_description(c.oid, 'pg_class'))::text
         FROM pg_sequence s JOIN pg_class c ON c.oid = s.seqrelid JOIN pg_namespace n ON n.oid = c.relnamespace
         WHERE {mine} AND {own:pg_class c}",
    ),
    (
        "functions",
        "SELECT json_build_object('kind', 'function', 'name', p.oid::regprocedure::text,
             'definition', pg_get_functiondef(p.oid), 'comment', obj_description(p.oid, 'pg_proc'))::text
         FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
         WHERE p.prokind IN ('f', 'p', 'w') AND {mine} AND {own:pg_proc p}",
    ),
    (
        "aggregates",
        "SELECT json_build_object('kind', 'aggregate', 'name', p.oid::regprocedure::text,
             'arguments', pg_get_function_arguments(p.oid), 'result', pg_get_function_result(p.oid),
             'transition', a.aggtransfn::text, 'final', a.aggfinalfn::text, 'combine', a.aggcombinefn::text,
             'state', format_type(a.aggtranstype, NULL), 'initial', a.agginitval, 'kind-of-aggregate', a.aggkind,
             'parallel', p.proparallel, 'comment', obj_description(p.oid, 'pg_proc'))::text
         FROM pg_aggregate a JOIN pg_proc p ON p.oid = a.aggfnoid JOIN pg_namespace n ON n.oid = p.pronamespace
         WHERE {mine} AND {own:pg_proc p}",
    ),
    (
        "triggers",
        "SELECT json_build_object('kind', 'trigger', 'on', g.tgrelid::regclass::text, 'name', g.tgname,
             'definition', pg_get_triggerdef(g.oid), 'enabled', g.tgenabled, 'comment', obj_description(g.oid, 'pg_trigger'))::text
         FROM pg_trigger g JOIN pg_class c ON c.oid = g.tgrelid JOIN pg_namespace n ON n.oid = c.relnamespace
         WHERE NOT g.tgisinternal AND g.tgparentid = 0 AND {mine} AND {own:pg_trigger g} AND NOT EXISTS (SELECT FROM pg_depend x JOIN pg_extension e ON e.oid = x.refobjid WHERE x.classid = 'pg_class'::regclass
             AND x.objid = c.oid AND x.deptype = 'e' AND e.extname = 'pg_cron')",
    ),
    (
        "rules",
        "SELECT json_build_object('kind', 'rule', 'on', r.ev_class::regclass::text, 'name', r.rulename,
             'definition', pg_get_ruledef(r.oid), 'enabled', r.ev_enabled, 'comment', obj_description(r.oid, 'pg_rewrite'))::text
         FROM pg_rewrite r JOIN pg_class c ON c.oid = r.ev_class JOIN pg_namespace n ON n.oid = c.relnamespace
         WHERE r.rulename <> '_RETURN' AND {mine} AND {own:pg_rewrite r}",
    ),
    (
        "types",
        "SELECT json_build_object('kind', 'type', 'name', format('%I.%I', n.nspname, t.typname), 'of', t.typtype,
             'labels', (SELECT json_agg(e.enumlabel ORDER BY e.enumsortorder) FROM pg_enum e WHERE e.enumtypid = t.oid),
             'base', CASE WHEN t.typtype = 'd' THEN format_type(t.typbasetype, t.typtypmod) END,
             'not-null', t.typnotnull, 'default', t.typdefault,
             'subtype', (SELECT format_type(g.rngsubtype, NULL) FROM pg_range g WHERE g.rngtypid = t.oid),
             'collation', CASE WHEN t.typtype = 'd' AND t.typcollation <> 0 THEN t.typcollation::regcollation::text END,
             'comment', obj_description(t.oid, 'pg_type'))::text
         FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace
         WHERE (t.typtype IN ('e', 'd', 'r', 'm') OR (t.typtype = 'b' AND t.typcategory <> 'A')) AND {mine} AND {own:pg_type t}",
    ),
    (
        "comments on composite types",
        "SELECT json_build_object('kind', 'composite type comment', 'name', format('%I.%I', n.nspname, t.typname),
             'comment', obj_description(t.oid, 'pg_type'))::text
         FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace JOIN pg_class c ON c.oid = t.typrelid
         WHERE t.typtype = 'c' AND obj_description(t.oid, 'pg_type') IS NOT NULL AND {mine} AND {own:pg_type t}",
    ),
    (
        "policies",
        "SELECT json_build_object('kind', 'policy', 'on', p.polrelid::regclass::text, 'name', p.polname, 'command', p.polcmd,
             'permissive', p.polpermissive, 'using', pg_get_expr(p.polqual, p.polrelid),
             'check', pg_get_expr(p.polwithcheck, p.polrelid), 'comment', obj_description(p.oid, 'pg_policy'))::text
         FROM pg_policy p JOIN pg_class c ON c.oid = p.polrelid JOIN pg_namespace n ON n.oid = c.relnamespace WHERE {mine} AND NOT EXISTS (SELECT FROM pg_depend x JOIN pg_extension e ON e.oid = x.refobjid WHERE x.classid = 'pg_class'::regclass
             AND x.objid = c.oid AND x.deptype = 'e' AND e.extname = 'pg_cron')",
    ),
    (
        "extended statistics",
        "SELECT json_build_object('kind', 'statistics', 'name', format('%I.%I', n.nspname, s.stxname),
             'definition', pg_get_statisticsobjdef(s.oid), 'comment', obj_description(s.oid, 'pg_statistic_ext'))::text
         FROM pg_statistic_ext s JOIN pg_namespace n ON n.oid = s.stxnamespace WHERE {mine}",
    ),
    (
        "event triggers",
        "SELECT json_build_object('kind', 'event trigger', 'name', e.evtname, 'event', e.evtevent, 'enabled', e.evtenabled,
             'tags', (SELECT json_agg(t ORDER BY t COLLATE \"C\") FROM unnest(e.evttags) t), 'function', e.evtfoid::regprocedure::text,
             'comment', obj_description(e.oid, 'pg_event_trigger'))::text
         FROM pg_event_trigger e WHERE {own:pg_event_trigger e}",
    ),
    (
        "publications",
        "SELECT json_build_object('kind', 'publication', 'name', p.pubname, 'all-tables', p.puballtables, 'insert', p.pubinsert,
             'update', p.pubupdate, 'delete', p.pubdelete, 'truncate', p.pubtruncate, 'via-root', p.pubviaroot,
             'tables', (SELECT json_agg(r.prrelid::regclass::text ORDER BY r.prrelid::regclass::text COLLATE \"C\")
                        FROM pg_publication_rel r WHERE r.prpubid = p.oid),
             'comment', obj_description(p.oid, 'pg_publication'))::text
         FROM pg_publication p WHERE {own:pg_publication p}",
    ),
    (
        "published tables",
        // The view's columns differ between versions.
        "SELECT json_build_object('kind', 'published table', 'on', t.pubname, 'name', format('%I.%I', t.schemaname, t.tablename),
             'columns', (SELECT json_agg(a ORDER BY a COLLATE \"C\") FROM jsonb_array_elements_text(nullif(to_jsonb(t)->'attnames', 'null')) a),
             'filter', to_jsonb(t)->>'rowfilter')::text
         FROM pg_publication_tables t JOIN pg_namespace n ON n.nspname = t.schemaname WHERE {mine}",
    ),
    (
        "casts",
        // OIDs from 16384 on are the users' (src/include/access/transam.h, FirstNormalObjectId).
        "SELECT json_build_object('kind', 'cast', 'name', format('%s as %s', format_type(k.castsource, NULL), format_type(k.casttarget, NULL)),
             'function', nullif(k.castfunc, 0)::regprocedure::text, 'context', k.castcontext, 'method', k.castmethod)::text
         FROM pg_cast k WHERE k.oid >= 16384 AND {own:pg_cast k}",
    ),
    (
        "operators",
        "SELECT json_build_object('kind', 'operator', 'name', o.oid::regoperator::text, 'function', o.oprcode::text,
             'commutator', nullif(o.oprcom, 0)::regoperator::text, 'negator', nullif(o.oprnegate, 0)::regoperator::text,
             'hashes', o.oprcanhash, 'merges', o.oprcanmerge)::text
         FROM pg_operator o JOIN pg_namespace n ON n.oid = o.oprnamespace WHERE {mine} AND {own:pg_operator o}",
    ),
    (
        "operator classes",
        "SELECT json_build_object('kind', 'operator class', 'name', format('%I.%I', n.nspname, o.opcname),
             'method', (SELECT amname FROM pg_am a WHERE a.oid = o.opcmethod), 'type', format_type(o.opcintype, NULL),
             'default', o.opcdefault)::text
         FROM pg_opclass o JOIN pg_namespace n ON n.oid = o.opcnamespace WHERE {mine} AND {own:pg_opclass o}",
    ),
    (
        "collations",
        "SELECT json_build_object('kind', 'collation', 'name', format('%I.%I', n.nspname, o.collname), 'provider', o.collprovider,
             'deterministic', o.collisdeterministic, 'collate', o.collcollate, 'ctype', o.collctype)::text
         FROM pg_collation o JOIN pg_namespace n ON n.oid = o.collnamespace WHERE {mine} AND {own:pg_collation o}",
    ),
    (
        "text search objects",
        "SELECT json_build_object('kind', 'text search configuration', 'name', format('%I.%I', n.nspname, o.cfgname),
             'maps', (SELECT json_agg(format('%s %s %s', m.maptokentype, m.mapseqno, m.mapdict::regdictionary) ORDER BY m.maptokentype, m.mapseqno)
                      FROM pg_ts_config_map m WHERE m.mapcfg = o.oid))::text
         FROM pg_ts_config o JOIN pg_namespace n ON n.oid = o.cfgnamespace WHERE {mine} AND {own:pg_ts_config o}
         UNION ALL
         SELECT json_build_object('kind', 'text search dictionary', 'name', format('%I.%I', n.nspname, o.dictname), 'options', o.dictinitoption)::text
         FROM pg_ts_dict o JOIN pg_namespace n ON n.oid = o.dictnamespace WHERE {mine} AND {own:pg_ts_dict o}",
    ),
    (
        "foreign servers",
        "SELECT json_build_object('kind', 'foreign server', 'name', s.srvname, 'wrapper', w.fdwname)::text
         FROM pg_foreign_server s JOIN pg_foreign_data_wrapper w ON w.oid = s.srvfdw",
    ),
];

/// Whose objects are, and who may use them. Default privileges are written out, so that `NULL` and the same thing said
/// explicitly are equal; grantors are left out, since a restore makes the owner the grantor.
pub(super) const OWNERSHIP: &[(&str, &str)] = &[
    (
        "owners and grants of schemas",
        "SELECT json_build_object('kind', 'schema', 'name', n.nspname, 'owner', pg_get_userbyid(n.nspowner), 'grants',
             (SELECT json_agg(g ORDER BY g COLLATE \"C\") FROM (SELECT format('%s %s %s', CASE WHEN a.grantee = 0 THEN 'PUBLIC' ELSE pg_get_userbyid(a.grantee)::text END, a.privilege_type, a.is_grantable) AS g
              FROM aclexplode(coalesce(n.nspacl, acldefault('n', n.nspowner))) a) e))::text
         FROM pg_namespace n WHERE {mine} AND {own:pg_namespace n}",
    ),
    (
        "owners and grants of relations",
        "SELECT json_build_object('kind', 'relation', 'name', format('%I.%I', n.nspname, c.relname), 'owner', pg_get_userbyid(c.relowner), 'grants',
             (SELECT json_agg(g ORDER BY g COLLATE \"C\") FROM (SELECT format('%s %s %s', CASE WHEN a.grantee = 0 THEN 'PUBLIC' ELSE pg_get_userbyid(a.grantee)::text END, a.privilege_type, a.is_grantable) AS g
              FROM aclexplode(coalesce(c.relacl, acldefault(CASE WHEN c.relkind = 'S' THEN 's'::\"char\" ELSE 'r'::\"char\" END, c.relowner))) a) e))::text
         FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
         WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S') AND {mine} AND {own:pg_class c}",
    ),
    (
        "grants on columns",
        "SELECT json_build_object('kind', 'column', 'on', t.attrelid::regclass::text, 'name', t.attname, 'grants',
             (SELECT json_agg(g ORDER BY g COLLATE \"C\") FROM (SELECT format('%s %s %s', CASE WHEN a.grantee = 0 THEN 'PUBLIC' ELSE pg_get_userbyid(a.grantee)::text END, a.privilege_type, a.is_grantable) AS g
              FROM aclexplode(t.attacl) a) e))::text
         FROM pg_attribute t JOIN pg_class c ON c.oid = t.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace
         WHERE t.attacl IS NOT NULL AND NOT t.attisdropped AND {mine} AND {own:pg_class c}",
    ),
    (
        "owners and grants of functions",
        "SELECT json_build_object('kind', 'function', 'name', p.oid::regprocedure::text, 'owner', pg_get_userbyid(p.proowner), 'grants',
             (SELECT json_agg(g ORDER BY g COLLATE \"C\") FROM (SELECT format('%s %s %s', CASE WHEN a.grantee = 0 THEN 'PUBLIC' ELSE pg_get_userbyid(a.grantee)::text END, a.privilege_type, a.is_grantable) AS g
              FROM aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) a) e))::text
         FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace WHERE {mine} AND {own:pg_proc p}",
    ),
    (
        "owners and grants of types",
        "SELECT json_build_object('kind', 'type', 'name', format('%I.%I', n.nspname, t.typname), 'owner', pg_get_userbyid(t.typowner), 'grants',
             (SELECT json_agg(g ORDER BY g COLLATE \"C\") FROM (SELECT format('%s %s %s', CASE WHEN a.grantee = 0 THEN 'PUBLIC' ELSE pg_get_userbyid(a.grantee)::text END, a.privilege_type, a.is_grantable) AS g
              FROM aclexplode(coalesce(t.typacl, acldefault('T', t.typowner))) a) e))::text
         FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace LEFT JOIN pg_class c ON c.oid = t.typrelid
         WHERE (t.typtype IN ('e', 'd', 'r') OR (t.typtype = 'c' AND c.relkind = 'c')) AND {mine} AND {own:pg_type t}",
    ),
    (
        "owners and grants of large objects",
        // Many of them in one line, of which none is long.
        "SELECT json_build_object('kind', 'large objects', 'name', format('from %s of %s', min(o.oid), o.owner), 'owner', o.owner,
             'grants', o.grants, 'oids', json_agg(o.oid ORDER BY o.oid))::text
         FROM (SELECT m.oid::int8 AS oid, pg_get_userbyid(m.lomowner) AS owner,
                 (SELECT coalesce(jsonb_agg(g ORDER BY g), '[]') FROM (SELECT jsonb_build_object(
                     'grantee', CASE WHEN a.grantee = 0 THEN '' ELSE pg_get_userbyid(a.grantee)::text END,
                     'privilege', a.privilege_type, 'grantable', a.is_grantable) AS g
                  FROM aclexplode(coalesce(m.lomacl, acldefault('L', m.lomowner))) a) e) AS grants
               FROM pg_largeobject_metadata m) o
         GROUP BY o.owner, o.grants, o.oid / 1000",
    ),
    (
        "settings of roles",
        "SELECT json_build_object('kind', 'settings of role', 'name', r.rolname,
             'settings', (SELECT json_agg(c ORDER BY c COLLATE \"C\") FROM unnest(s.setconfig) c))::text
         FROM pg_db_role_setting s JOIN pg_roles r ON r.oid = s.setrole
         WHERE s.setdatabase = (SELECT oid FROM pg_database WHERE datname = current_database())",
    ),
    (
        "default privileges",
        "SELECT json_build_object('kind', 'default privileges', 'name', format('%s in %s for %s', d.defaclobjtype, n.nspname, pg_get_userbyid(d.defaclrole)), 'grants',
             (SELECT json_agg(g ORDER BY g COLLATE \"C\") FROM (SELECT format('%s %s %s', CASE WHEN a.grantee = 0 THEN 'PUBLIC' ELSE pg_get_userbyid(a.grantee)::text END, a.privilege_type, a.is_grantable) AS g
              FROM aclexplode(d.defaclacl) a) e))::text
         FROM pg_default_acl d LEFT JOIN pg_namespace n ON n.oid = d.defaclnamespace",
    ),
    (
        "roles of policies",
        "SELECT json_build_object('kind', 'policy', 'on', p.polrelid::regclass::text, 'name', p.polname, 'roles',
             (SELECT json_agg(r ORDER BY r COLLATE \"C\") FROM (SELECT CASE WHEN o = 0 THEN 'PUBLIC' ELSE pg_get_userbyid(o)::text END AS r FROM unnest(p.polroles) o) e))::text
         FROM pg_policy p JOIN pg_class c ON c.oid = p.polrelid JOIN pg_namespace n ON n.oid = c.relnamespace WHERE {mine} AND NOT EXISTS (SELECT FROM pg_depend x JOIN pg_extension e ON e.oid = x.refobjid WHERE x.classid = 'pg_class'::regclass
             AND x.objid = c.oid AND x.deptype = 'e' AND e.extname = 'pg_cron')",
    ),
];
