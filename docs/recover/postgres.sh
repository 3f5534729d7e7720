#!/bin/sh
# Restores one Postgres database from the parts that the commands of docs/FORMAT.md recovered.
#
#   OUT=/folder/of/the/parts DATABASE=app TARGET=app_back docs/recover/postgres.sh
#
# OUT holds contents.json and parts/; DATABASE is the database's name as parts/index writes it; TARGET is a new, empty database,
# made with `createdb`. Where the server is and who logs in say PGHOST, PGPORT, PGUSER and PGPASSWORD. Needs jq and the client
# programs of Postgres. Roles are made without login if they are missing. No text of the backup reaches psql but as a quoted name or
# text, a number or plain words: psql runs the commands that it reads outside of quotes.
set -eu

prefix="postgres/$DATABASE/"
quote='def name: "\"" + gsub("\""; "\"\"") + "\""; def text: "'\''" + gsub("'\''"; "'\'''\''") + "'\''";
  def number: tonumber | tostring;
  def words: if test("^[A-Z ]+$") then . else error("these are no words of SQL") end;'

# The files of the parts whose names begin so.
files() {
  jq -r --arg prefix "$prefix$1" '[.stores[].captured.parts[]] | to_entries[] | select(.value.name | startswith($prefix)) | .key' "$OUT/contents.json"
}
# What else is said of a part, and its format.
about() {
  jq --argjson file "$1" "$quote"'[.stores[].captured.parts[]][$file] | '"$2" -r "$OUT/contents.json"
}
sql() {
  PGOPTIONS="-c standard_conforming_strings=on" psql --no-psqlrc --quiet --no-align --tuples-only --set ON_ERROR_STOP=1 --dbname "$TARGET" "$@" > "$OUT/answers"
}
# What a filter makes of a part's lines, as statements.
statements() {
  for file in $(files "$1"); do
    jq -r "$quote$2" "$OUT/parts/$file" | sql --file=-
  done
}

statements roles '
  if .line == "role" then
    "DO \("BEGIN CREATE ROLE \(.name | name) NOLOGIN; EXCEPTION WHEN duplicate_object THEN NULL; END" | text);"
  elif .line == "member" then "GRANT \(.role | name) TO \(.member | name);"
  else empty end'

schema=$(files schema)
test -n "$schema" || { echo "parts/index has no database $DATABASE" >&2; exit 2; }

# pg_cron can be in one database of a server only; make it anew, with its schedules, where it belongs.
pg_restore --list "$OUT/parts/$schema" > "$OUT/schema.all"
cron='^[0-9]+; [0-9]+ [0-9]+ (EXTENSION - pg_cron|COMMENT - EXTENSION pg_cron|ACL - SCHEMA cron|ACL cron) '
grep -vE "$cron" "$OUT/schema.all" > "$OUT/schema.list"
pg_restore --exit-on-error --section=pre-data --use-list "$OUT/schema.list" --dbname "$TARGET" "$OUT/parts/$schema"

for file in $(files table/); do
  settings=$(about "$file" '.meta.settings | to_entries | map("SET \(.key) = \(.value | text);") | join(" ")')
  form=$(about "$file" 'if .format == "pg-copy-binary" then "binary" else "text" end')
  copy=$(about "$file" '.meta | "COPY \(.schema | name).\(.table | name)" +
    (if .columns == [] then "" else " (" + (.columns | map(name) | join(", ")) + ")" end)')
  # Rows of extensions' own tables meet triggers that are there already.
  about "$file" '.meta.condition // empty' | grep -q . && settings="$settings SET session_replication_role = replica;"
  sql --command "$settings" --command "$copy FROM STDIN WITH (FORMAT $form)" < "$OUT/parts/$file"
done

# As text until the server reads it: jq would round large numbers.
for file in $(files sequences); do
  jq -R -r "$quote"'"SELECT pg_catalog.setval(pg_catalog.format('\''%I.%I'\'', j->>'\''schema'\'', j->>'\''name'\'')::regclass,
    (j->>'\''last-value'\'')::bigint, (j->>'\''is-called'\'')::boolean) FROM (SELECT \(text)::json AS j) AS line;"' "$OUT/parts/$file" | sql --file=-
done
statements large-objects '
  if .line == "object" then
    "SELECT pg_catalog.lo_create(\(.oid | number));" + (if .comment then "COMMENT ON LARGE OBJECT \(.oid | number) IS \(.comment | text);" else "" end)
  else "SELECT pg_catalog.lo_put(\(.oid | number), \(.offset | number), pg_catalog.decode(\(.data | text), '\''base64'\''));" end'

statements ownership '
  if .kind == "large objects" then . as $all | .oids[] | "LARGE OBJECT \(number)" as $object |
    "ALTER \($object) OWNER TO \($all.owner | name);",
    ($all.grants[] | "GRANT \(.privilege | words) ON \($object) TO \(if .grantee == "" then "PUBLIC" else .grantee | name end)\(if .grantable then " WITH GRANT OPTION" else "" end);")
  else empty end'

pg_restore --exit-on-error --section=post-data --use-list "$OUT/schema.list" --dbname "$TARGET" "$OUT/parts/$schema"
about "$schema" '.meta.matviews[] | select(.populated) | "REFRESH MATERIALIZED VIEW \(.schema | name).\(.name | name);"' | sql --file=-
vacuumdb --quiet --analyze-only --dbname "$TARGET"

# The database itself, whose name psql fills in. Lists of names are quoted one by one already: the server alone reads them.
statements catalogue '
  def lists: IN("search_path", "temp_tablespaces", "session_preload_libraries", "local_preload_libraries", "shared_preload_libraries", "unix_socket_directories");
  if .kind == "database" then
    "ALTER DATABASE :\"DBNAME\" CONNECTION LIMIT \(."connection-limit" | number);",
    (if .comment then "COMMENT ON DATABASE :\"DBNAME\" IS \(.comment | text);" else empty end)
  elif .kind == "database setting" and (.name | lists) then
    "DO \("BEGIN EXECUTE pg_catalog.format('\''ALTER DATABASE %I SET \(.name) = '\'', pg_catalog.current_database()) || \(.value | text); END" | text);"
  elif .kind == "database setting" then
    "ALTER DATABASE :\"DBNAME\" SET \(.name | split(".") | map(name) | join(".")) = \(.value | text);"
  else empty end'
statements ownership '
  if .kind == "database" then
    "ALTER DATABASE :\"DBNAME\" OWNER TO \(.owner | name);", "REVOKE ALL ON DATABASE :\"DBNAME\" FROM PUBLIC;",
    (.grants[]? | capture("^(?<who>.*) (?<right>[A-Z]+) (?<option>[tf])$"; "s") |
      "GRANT \(.right | words) ON DATABASE :\"DBNAME\" TO \(if .who == "PUBLIC" then .who else .who | name end)\(if .option == "t" then " WITH GRANT OPTION" else "" end);")
  else empty end'
