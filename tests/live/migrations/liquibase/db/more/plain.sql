CREATE TABLE plain (n int);
