-- A database with one of everything that a capture has to carry.
CREATE ROLE "App Owner" NOLOGIN;
CREATE ROLE reader NOLOGIN;
ALTER DATABASE rich SET search_path = app, public;
ALTER DATABASE rich SET "app.tenant" = 'it''s one';
COMMENT ON DATABASE rich IS 'rich ''quoted''';
REVOKE CONNECT ON DATABASE rich FROM PUBLIC;
GRANT CONNECT ON DATABASE rich TO reader;

CREATE SCHEMA app AUTHORIZATION "App Owner";
COMMENT ON SCHEMA app IS 'the application';
CREATE SCHEMA "odd schema.""x""
/y";
GRANT USAGE ON SCHEMA app TO reader;

CREATE TYPE app.mood AS ENUM ('sad', 'ok', 'it''s "fine"');
ALTER TYPE app.mood ADD VALUE 'first' BEFORE 'sad';
CREATE TYPE app.address AS (street text, number int);
CREATE DOMAIN app.email AS text DEFAULT 'a@b' CHECK (VALUE ~ '@');
CREATE TYPE app.span AS RANGE (subtype = timestamptz);
COMMENT ON TYPE app.address IS 'where';

CREATE FUNCTION app.double(n int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT n * 2';
COMMENT ON FUNCTION app.double(int) IS 'twice';
CREATE PROCEDURE app.nothing() LANGUAGE plpgsql AS $$ BEGIN NULL; END $$;
CREATE AGGREGATE app.total(int) (SFUNC = int4pl, STYPE = int, INITCOND = '0');

CREATE TABLE app.kinds (
    id bigint GENERATED ALWAYS AS IDENTITY (START 100 INCREMENT 7) PRIMARY KEY,
    serial_no serial,
    small smallint, number int, big bigint, exact numeric(20, 5), loose numeric, single real, double double precision,
    cash money, yes boolean, letters char(5), words varchar(40), prose text, raw bytea,
    day date, clock time, zoned timetz, moment timestamp, instant timestamptz, length interval,
    tag uuid, net inet, block cidr, mac macaddr, bits bit varying(9),
    doc json, docb jsonb, xmldoc xml, vector tsvector, query tsquery,
    place point, shape polygon, numbers int[], grid text[][], mood app.mood, moods app.mood[], home app.address, homes app.address[],
    mail app.email, span app.span, ints int4multirange, ref regclass,
    doubled int GENERATED ALWAYS AS (number * 2) STORED,
    "column with, ""quotes""
and a newline" text DEFAULT E'tab\there',
    dropped int
);
ALTER TABLE app.kinds DROP COLUMN dropped;
ALTER TABLE app.kinds ALTER COLUMN prose SET STORAGE EXTERNAL;
ALTER TABLE app.kinds OWNER TO "App Owner";
COMMENT ON TABLE app.kinds IS 'every kind';
COMMENT ON COLUMN app.kinds.home IS 'a composite';
GRANT SELECT (number, words) ON app.kinds TO reader;
CREATE INDEX kinds_words ON app.kinds (lower(words)) WHERE yes;
CREATE UNIQUE INDEX kinds_serial ON app.kinds (serial_no) INCLUDE (number);
CREATE STATISTICS app.kinds_stats ON number, big FROM app.kinds;

INSERT INTO app.kinds (small, number, big, exact, loose, single, double, cash, yes, letters, words, prose, raw, day, clock, zoned,
    moment, instant, length, tag, net, block, mac, bits, doc, docb, xmldoc, vector, query, place, shape, numbers, grid, mood, moods,
    home, homes, mail, span, ints, ref)
VALUES
 (1, 2, 3, 4.5, 'NaN', 'NaN', 'Infinity', 12.34, true, 'ab', 'words', E'line\nbreak\ttab\\back\r', '\x00ff5c0a', '4713-01-01 BC', '24:00', '12:00+05:30',
  '-infinity', 'infinity', '-1 year 2 mons -3 days 04:05:06.789', 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', '::1', '10.0.0.0/8', '08:00:2b:01:02:03', B'101',
  '{"b": 1, "a":  [1, null]}', '{"z": "\u00e9", "n": 1.10}', '<a b="c">d</a>', to_tsvector('simple', 'a fat cat'), 'fat & cat', '(1.5,-2)', '((0,0),(1,1),(1,0))',
  '{1,NULL,3}', '{{a,"b,c"},{"d\"e",NULL}}', 'it''s "fine"', '{sad,ok}', '("Long, road",7)', '{"(a,1)","(\"b \"\"q\"\"\",)"}', 'x@y',
  '[2020-01-01 00:00+00,infinity)', '{[1,3),[7,9)}', 'app.kinds'),
 (NULL, -1073741824, 9223372036854775807, -0.00001, 1e300, '-0', 1e-300, '-$0.01', false, '', '', '\N', '', '0044-03-15 BC', '00:00', '00:00-12',
  '0044-03-15 12:00 BC', '2021-03-28 01:30+00', '0', NULL, '192.168.1.5/24', NULL, NULL, B'', 'null', 'null', '', '', NULL, NULL, NULL, '{}', '{}', NULL, '{}', NULL, NULL,
  'ü@ñ', 'empty', '{}', NULL);
INSERT INTO app.kinds (number, words, yes) SELECT n, 'word ' || n, n % 2 = 0 FROM generate_series(1, 5000) n;

CREATE TABLE app.orders (
    id int PRIMARY KEY, kind bigint REFERENCES app.kinds (id) DEFERRABLE INITIALLY DEFERRED,
    parent int REFERENCES app.orders (id), at date NOT NULL,
    EXCLUDE USING gist (daterange(at, at, '[]') WITH &&)
);
INSERT INTO app.orders VALUES (1, 100, 2, '2024-01-01'), (2, 107, 1, '2024-01-02');
SET CONSTRAINTS ALL IMMEDIATE;
ALTER TABLE app.orders ADD CONSTRAINT not_checked CHECK (id > 1) NOT VALID;

CREATE TABLE app.events (id int, at date NOT NULL, body text, PRIMARY KEY (id, at)) PARTITION BY RANGE (at);
CREATE TABLE app.events_2023 PARTITION OF app.events FOR VALUES FROM ('2023-01-01') TO ('2024-01-01');
CREATE TABLE app.events_2024 (extra_order text, body text, id int NOT NULL, at date NOT NULL);
ALTER TABLE app.events_2024 DROP COLUMN extra_order;
ALTER TABLE app.events ATTACH PARTITION app.events_2024 FOR VALUES FROM ('2024-01-01') TO ('2025-01-01');
CREATE TABLE app.events_rest PARTITION OF app.events DEFAULT PARTITION BY HASH (id);
CREATE TABLE app.events_rest_0 PARTITION OF app.events_rest FOR VALUES WITH (MODULUS 2, REMAINDER 0);
CREATE TABLE app.events_rest_1 PARTITION OF app.events_rest FOR VALUES WITH (MODULUS 2, REMAINDER 1);
CREATE INDEX events_body ON app.events (body);
INSERT INTO app.events SELECT n, date '2023-06-01' + n, 'event ' || n FROM generate_series(1, 900) n;

CREATE TABLE app.animals (name text, legs int);
CREATE TABLE app.dogs (breed text) INHERITS (app.animals);
INSERT INTO app.animals VALUES ('spider', 8);
INSERT INTO app.dogs VALUES ('rex', 4, 'mutt');

CREATE TABLE app.empty (a int);
CREATE TABLE app.no_columns ();
INSERT INTO app.no_columns DEFAULT VALUES;
INSERT INTO app.no_columns DEFAULT VALUES;
CREATE TABLE app.all_generated (a int GENERATED ALWAYS AS (1 + 1) STORED);
INSERT INTO app.all_generated DEFAULT VALUES;
CREATE UNLOGGED TABLE app.scratchpad (t text);
INSERT INTO app.scratchpad VALUES ('kept'), ('kept');
CREATE TABLE "odd schema.""x""
/y"."odd table, 'quoted' \ and.dotted" ("a b" text, "SELECT" int);
INSERT INTO "odd schema.""x""
/y"."odd table, 'quoted' \ and.dotted" VALUES ('x', 1), (NULL, NULL);

CREATE VIEW app.words AS SELECT words, number FROM app.kinds WHERE yes;
CREATE MATERIALIZED VIEW app.z_first AS SELECT count(*) AS n FROM app.words;
CREATE VIEW app.between AS SELECT n + 1 AS m FROM app.z_first;
CREATE MATERIALIZED VIEW app.a_second AS SELECT m FROM app.between;
CREATE UNIQUE INDEX a_second_m ON app.a_second (m);
CREATE MATERIALIZED VIEW app.unpopulated AS SELECT 1 AS one WITH NO DATA;
CREATE RULE no_delete AS ON DELETE TO app.animals DO INSTEAD NOTHING;

CREATE TABLE app.audit (what text);
CREATE FUNCTION app.note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO app.audit VALUES (TG_OP); RETURN NEW; END $$;
CREATE TRIGGER noted AFTER INSERT ON app.animals FOR EACH ROW EXECUTE FUNCTION app.note();
ALTER TABLE app.animals DISABLE TRIGGER noted;
CREATE TRIGGER on_parts AFTER INSERT ON app.events FOR EACH ROW EXECUTE FUNCTION app.note();

CREATE SEQUENCE app.lone INCREMENT -5 MINVALUE -1000 START -3 CACHE 10;
SELECT nextval('app.lone');
CREATE SEQUENCE app.untouched;
CREATE TABLE app.guarded (who text, secret text);
INSERT INTO app.guarded VALUES ('a', 'x'), ('b', 'y');
ALTER TABLE app.guarded ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON app.guarded FOR SELECT TO reader USING (who = current_user);
GRANT SELECT ON ALL TABLES IN SCHEMA app TO reader;
ALTER DEFAULT PRIVILEGES FOR ROLE "App Owner" IN SCHEMA app GRANT SELECT ON TABLES TO reader;

CREATE PUBLICATION changes FOR TABLE app.kinds;
CREATE FUNCTION app.on_ddl() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN NULL; END $$;
CREATE EVENT TRIGGER watched ON ddl_command_end EXECUTE FUNCTION app.on_ddl();
CREATE OPERATOR app.=== (LEFTARG = int, RIGHTARG = int, FUNCTION = int4eq);
CREATE COLLATION app.plain (locale = 'C');
CREATE TEXT SEARCH CONFIGURATION app.simple_too (COPY = simple);

SELECT lo_from_bytea(70001, decode(repeat('00ff10', 200000), 'hex'));
SELECT lo_from_bytea(70002, '');
COMMENT ON LARGE OBJECT 70001 IS 'a large one';
ALTER LARGE OBJECT 70001 OWNER TO "App Owner";
GRANT SELECT ON LARGE OBJECT 70001 TO reader WITH GRANT OPTION;
GRANT UPDATE ON LARGE OBJECT 70001 TO PUBLIC;
GRANT reader TO "App Owner" WITH ADMIN OPTION;
ALTER ROLE reader IN DATABASE rich SET statement_timeout = '1min';
