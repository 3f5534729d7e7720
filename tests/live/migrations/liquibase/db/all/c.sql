-- liquibase formatted sql logicalFilePath:named/c.sql
--changeset me:c
SELECT 6
