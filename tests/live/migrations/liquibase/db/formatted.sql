--liquibase formatted sql

--changeset me:1 splitStatements:false endDelimiter:/
--comment the first
CREATE TABLE first (
    n int  -- a number
);
--rollback DROP TABLE first;

-- changeset "the team":"two words" runOnChange:true stripComments:false
CREATE OR REPLACE VIEW again AS SELECT 1;
/* liquibase rollback
   DROP VIEW again;
*/

--changeset me:3 context:"nightly and not weekly" labels:a,b dbms:postgresql,h2
--preconditions onFail:MARK_RAN
--precondition-sql-check expectedResult:0 SELECT 0
--validCheckSum: 9:00000000000000000000000000000000
SELECT 3;
--ignoreLines:start
SELECT 'no part of it';
--ignoreLines:end

--changeset me:4 dbms:mysql
SELECT 4;

--changeset me:5 runInTransaction:false
CREATE FUNCTION five() RETURNS int LANGUAGE sql AS $$ SELECT 5; $$
/
