//! What the third form of the listings says beside the others: the database's own properties, and facts that the schema's
//! archive carries and neither of the two compares. Each line says `"form": 3`.
//!
//! The database's name is not listed, since a copy has another one while it is compared. Of a NOT NULL constraint that a table
//! inherits and does not say itself, the name is not the table's own: a restore gives it the parent's.

use super::second::Query;

/// What objects are.
pub(super) const OBJECTS: &[Query] = &[
    (
        14,
        "the database itself",
        // The columns differ between versions.
        "SELECT json_build_object('kind', 'database', 'form', 3, 'comment', shobj_description(d.oid, 'pg_database'),
             'connection-limit', d.datconnlimit)::text
         FROM pg_database d WHERE d.datname = current_database()
         UNION ALL
         SELECT json_build_object('kind', 'database locale', 'form', 3, 'encoding', pg_encoding_to_char(d.encoding),
             'collate', d.datcollate, 'ctype', d.datctype, 'provider', to_jsonb(d)->>'datlocprovider',
             'locale', coalesce(to_jsonb(d)->>'datlocale', to_jsonb(d)->>'daticulocale'), 'rules', to_jsonb(d)->>'daticurules')::text
         FROM pg_database d WHERE d.datname = current_database()
         UNION ALL
         SELECT json_build_object('kind', 'database setting', 'form', 3, 'name', split_part(c, '=', 1), 'value', substr(c, strpos(c, '=') + 1))::text
         FROM pg_db_role_setting s, unnest(s.setconfig) c
         WHERE s.setrole = 0 AND s.setdatabase = (SELECT oid FROM pg_database WHERE datname = current_database())",
    ),
    (
        14,
        "comments on extensions",
        "SELECT json_build_object('kind', 'extension', 'form', 3, 'name', e.extname, 'comment', obj_description(e.oid, 'pg_extension'))::text
         FROM pg_extension e WHERE e.extname NOT IN ('pg_cron', 'plpgsql')",
    ),
    (
        14,
        "what depends on extensions",
        "SELECT json_build_object('kind', 'dependency on an extension', 'form', 3, 'name', format('of %s %s on %I', i.type, i.identity, e.extname))::text
         FROM pg_depend d JOIN pg_extension e ON e.oid = d.refobjid, pg_identify_object(d.classid, d.objid, d.objsubid) i
         WHERE d.deptype = 'x' AND d.refclassid = 'pg_extension'::regclass AND e.extname <> 'pg_cron'",
    ),
    (
        14,
        "security labels",
        // Those of the server's own objects and of what extensions made are not in an archive.
        "SELECT json_build_object('kind', 'security label', 'form', 3, 'name', format('on %s %s by %s', i.type, i.identity, l.provider),
             'label', l.label, 'relation', CASE WHEN l.classoid = 'pg_class'::regclass THEN l.objoid::regclass::text END)::text
         FROM pg_seclabel l CROSS JOIN LATERAL pg_identify_object(l.classoid, l.objoid, l.objsubid) i
              LEFT JOIN pg_namespace n ON n.nspname = CASE WHEN l.classoid = 'pg_namespace'::regclass
                                                           THEN (SELECT s.nspname FROM pg_namespace s WHERE s.oid = l.objoid) ELSE i.schema END
         WHERE l.classoid <> 'pg_largeobject'::regclass AND l.objoid >= 16384 AND (n.oid IS NULL OR {mine})
           AND (l.classoid <> 'pg_subscription'::regclass OR current_setting('is_superuser') = 'on')
           AND NOT EXISTS (SELECT FROM pg_depend x WHERE x.classid = l.classoid AND x.objid = l.objoid AND x.deptype = 'e')",
    ),
    (
        14,
        "options of TOAST tables",
        "SELECT json_build_object('kind', 'TOAST options', 'form', 3, 'on', format('%I.%I', n.nspname, c.relname),
             'options', (SELECT json_agg(o ORDER BY o COLLATE \"C\") FROM unnest(t.reloptions) o))::text
         FROM pg_class c JOIN pg_class t ON t.oid = c.reltoastrelid JOIN pg_namespace n ON n.oid = c.relnamespace
         WHERE t.reloptions IS NOT NULL AND {mine} AND {own:pg_class c}",
    ),
    (
        // Where they are objects, and `pg_dump` knows them.
        18,
        "NOT NULL constraints",
        "SELECT json_build_object('kind', 'NOT NULL constraint', 'form', 3,
             'on', CASE WHEN k.conrelid <> 0 THEN k.conrelid::regclass::text ELSE format_type(k.contypid, NULL) END,
             'name', k.conname, 'column', (SELECT a.attname FROM pg_attribute a WHERE a.attrelid = k.conrelid AND a.attnum = k.conkey[1]),
             'validated', k.convalidated, 'no-inherit', k.connoinherit, 'comment', obj_description(k.oid, 'pg_constraint'))::text
         FROM pg_constraint k JOIN pg_namespace n ON n.oid = k.connamespace LEFT JOIN pg_class c ON c.oid = k.conrelid
         WHERE k.contype = 'n' AND (c.oid IS NULL OR k.conislocal OR c.relispartition) AND {mine} AND {own:pg_constraint k}
           AND NOT EXISTS (SELECT FROM pg_depend x WHERE x.deptype = 'e' AND (x.classid, x.objid) IN
                           (('pg_class'::regclass, k.conrelid), ('pg_type'::regclass, k.contypid)))
           -- `pg_dump` 18.4 was seen to give an heir a constraint of its own where that of the parent is not valid.
           AND NOT EXISTS (WITH RECURSIVE up (oid) AS (
                   SELECT h.inhparent FROM pg_inherits h WHERE h.inhrelid = k.conrelid
                   UNION SELECT h.inhparent FROM up JOIN pg_inherits h ON h.inhrelid = up.oid)
               SELECT FROM up JOIN pg_constraint p ON p.conrelid = up.oid
               WHERE p.contype = 'n' AND NOT p.convalidated AND p.conname = k.conname)",
    ),
    (
        14,
        "what tables say beside what they inherit",
        "SELECT json_build_object('kind', 'column', 'form', 3, 'on', format('%I.%I', n.nspname, c.relname), 'name', a.attname,
             'local', a.attislocal)::text
         FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace
         WHERE a.attinhcount > 0 AND NOT a.attisdropped AND NOT c.relispartition AND c.relkind IN ('r', 'f') AND {mine} AND {own:pg_class c}
         UNION ALL
         SELECT json_build_object('kind', 'constraint', 'form', 3, 'on', k.conrelid::regclass::text, 'name', k.conname, 'local', k.conislocal)::text
         FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid JOIN pg_namespace n ON n.oid = c.relnamespace
         WHERE k.contype = 'c' AND k.coninhcount > 0 AND NOT c.relispartition AND {mine} AND {own:pg_class c}",
    ),
    (
        14,
        "states of triggers of partitions",
        "SELECT json_build_object('kind', 'trigger', 'form', 3, 'on', g.tgrelid::regclass::text, 'name', g.tgname, 'enabled', g.tgenabled)::text
         FROM pg_trigger g JOIN pg_class c ON c.oid = g.tgrelid JOIN pg_namespace n ON n.oid = c.relnamespace
         WHERE NOT g.tgisinternal AND g.tgparentid <> 0 AND {mine} AND {own:pg_class c}",
    ),
    (
        15,
        "persistence of sequences",
        // That of an identity column has its table's.
        "SELECT json_build_object('kind', 'sequence', 'form', 3, 'name', format('%I.%I', n.nspname, c.relname), 'persistence', c.relpersistence)::text
         FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
         WHERE c.relkind = 'S' AND {mine} AND {own:pg_class c}
           AND NOT EXISTS (SELECT FROM pg_depend x WHERE x.classid = 'pg_class'::regclass AND x.objid = c.oid AND x.deptype = 'i')",
    ),
    (
        17,
        "access methods of partitioned tables",
        "SELECT json_build_object('kind', 'partitioned table', 'form', 3, 'name', format('%I.%I', n.nspname, c.relname), 'access-method', m.amname)::text
         FROM pg_class c JOIN pg_am m ON m.oid = c.relam JOIN pg_namespace n ON n.oid = c.relnamespace
         WHERE c.relkind = 'p' AND {mine} AND {own:pg_class c}",
    ),
    (
        14,
        "types that are yet to be defined",
        "SELECT json_build_object('kind', 'shell type', 'form', 3, 'name', format('%I.%I', n.nspname, t.typname),
             'comment', obj_description(t.oid, 'pg_type'))::text
         FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace
         WHERE NOT t.typisdefined AND {mine} AND {own:pg_type t}",
    ),
    (
        14,
        "how subscriptions stream",
        "SELECT json_build_object('kind', 'subscription', 'form', 3, 'name', s.subname, 'streaming', s.substream)::text
         FROM pg_subscription s
         WHERE current_setting('is_superuser') = 'on' AND s.subdbid = (SELECT oid FROM pg_database WHERE datname = current_database())",
    ),
    (
        15,
        "how subscriptions commit and fail",
        "SELECT json_build_object('kind', 'subscription', 'form', 3, 'name', s.subname, 'two-phase', s.subtwophasestate <> 'd',
             'disable-on-error', s.subdisableonerr)::text
         FROM pg_subscription s
         WHERE current_setting('is_superuser') = 'on' AND s.subdbid = (SELECT oid FROM pg_database WHERE datname = current_database())",
    ),
    (
        16,
        "as whom subscriptions run",
        "SELECT json_build_object('kind', 'subscription', 'form', 3, 'name', s.subname, 'password-required', s.subpasswordrequired,
             'run-as-owner', s.subrunasowner, 'origin', s.suborigin)::text
         FROM pg_subscription s
         WHERE current_setting('is_superuser') = 'on' AND s.subdbid = (SELECT oid FROM pg_database WHERE datname = current_database())",
    ),
];

/// Whose objects are, and who may use them.
pub(super) const OWNERSHIP: &[Query] = &[
    (
        14,
        "owner and grants of the database",
        "SELECT json_build_object('kind', 'database', 'form', 3, 'owner', pg_get_userbyid(d.datdba),
             'grants', {grants:d d.datacl d.datdba})::text
         FROM pg_database d WHERE d.datname = current_database()",
    ),
    (
        14,
        "owners of types that are yet to be defined",
        "SELECT json_build_object('kind', 'shell type', 'form', 3, 'name', format('%I.%I', n.nspname, t.typname), 'owner', pg_get_userbyid(t.typowner))::text
         FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace
         WHERE NOT t.typisdefined AND {mine} AND {own:pg_type t}",
    ),
    (
        14,
        "grants beside the initial ones",
        // On objects of the server's own and of extensions. What an owner may is left out: the owners' names differ between servers.
        "SELECT json_build_object('kind', 'grants beside the initial ones', 'form', 3, 'name', format('on %s %s', i.type, i.identity),
             'grants', g.given, 'revoked', g.taken)::text
         FROM (
             SELECT 'pg_class'::regclass AS class, c.oid, 0 AS sub, c.relnamespace AS schema,
                 CASE c.relkind WHEN 'S' THEN 's'::\"char\" ELSE 'r' END AS kind, c.relacl AS acl, c.relowner AS owner
             FROM pg_class c WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S')
             UNION ALL SELECT 'pg_class'::regclass, a.attrelid, a.attnum, c.relnamespace, 'c', a.attacl, c.relowner
             FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid WHERE a.attnum > 0 AND NOT a.attisdropped
             UNION ALL SELECT 'pg_proc'::regclass, p.oid, 0, p.pronamespace, 'f', p.proacl, p.proowner FROM pg_proc p
             UNION ALL SELECT 'pg_type'::regclass, t.oid, 0, t.typnamespace, 'T', t.typacl, t.typowner FROM pg_type t
             UNION ALL SELECT 'pg_namespace'::regclass, s.oid, 0, s.oid, 'n', s.nspacl, s.nspowner FROM pg_namespace s
             UNION ALL SELECT 'pg_language'::regclass, l.oid, 0, 0, 'l', l.lanacl, l.lanowner FROM pg_language l WHERE l.lanispl
             UNION ALL SELECT 'pg_foreign_data_wrapper'::regclass, w.oid, 0, 0, 'F', w.fdwacl, w.fdwowner FROM pg_foreign_data_wrapper w
             UNION ALL SELECT 'pg_foreign_server'::regclass, f.oid, 0, 0, 'S', f.srvacl, f.srvowner FROM pg_foreign_server f
         ) o
         LEFT JOIN pg_init_privs v ON v.classoid = o.class AND v.objoid = o.oid AND v.objsubid = o.sub
         CROSS JOIN LATERAL (
             SELECT json_agg(line ORDER BY line COLLATE \"C\") FILTER (WHERE now AND NOT before) AS given,
                 json_agg(line ORDER BY line COLLATE \"C\") FILTER (WHERE before AND NOT now) AS taken
             FROM (
                 SELECT format('%s %s %s', CASE WHEN b.grantee = 0 THEN 'PUBLIC' ELSE pg_get_userbyid(b.grantee)::text END,
                     b.privilege_type, b.is_grantable) AS line, bool_or(b.now) AS now, bool_or(NOT b.now) AS before
                 FROM (
                     SELECT true AS now, a.* FROM aclexplode(coalesce(o.acl, acldefault(o.kind, o.owner))) a
                     UNION ALL SELECT false, a.* FROM aclexplode(coalesce(v.initprivs, acldefault(o.kind, o.owner))) a
                 ) b
                 WHERE b.grantee <> o.owner AND b.grantee <> b.grantor
                 GROUP BY 1
             ) lines
         ) g
         CROSS JOIN LATERAL pg_identify_object(o.class, o.oid, o.sub) i
         WHERE o.acl IS DISTINCT FROM v.initprivs AND (g.given IS NOT NULL OR g.taken IS NOT NULL)
           AND (o.schema = 'pg_catalog'::regnamespace OR EXISTS (
               SELECT FROM pg_depend x JOIN pg_extension e ON e.oid = x.refobjid
               WHERE x.classid = o.class AND x.objid = o.oid AND x.deptype = 'e' AND e.extname <> 'pg_cron'))",
    ),
];
