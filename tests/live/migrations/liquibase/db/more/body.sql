-- no changelog: SQL that a changeset takes in
SELECT 4;
SELECT 5;
