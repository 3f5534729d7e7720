"""The official driver's own way: `export URI` reads everything, `restore URI` writes the benchmark's graph in batches."""
import datetime
import os
import sys

from neo4j import GraphDatabase
from neo4j.time import Date, DateTime

what, uri = sys.argv[1:]
NODES, BATCH = 500_000, 10_000
auth = ("neo4j", os.environ["BENCH_PASSWORD"])
with GraphDatabase.driver(uri, auth=auth, notifications_min_severity="OFF") as driver, driver.session() as session:
    if what == "export":
        count = 0
        for query in ("MATCH (n) RETURN n", "MATCH ()-[r]->() RETURN r"):
            for record in session.run(query):
                count += len(record)
        assert count == 3 * NODES, count
    else:
        session.run("CREATE CONSTRAINT FOR (p:Person) REQUIRE p.id IS UNIQUE").consume()
        session.run("CALL db.awaitIndexes()").consume()
        first = Date(1950, 1, 1).to_ordinal()
        utc = datetime.timezone.utc
        for at in range(0, NODES, BATCH):
            rows = [
                {
                    "id": i, "name": f"Person number {i}", "score": i / 7.0, "active": i % 3 == 0,
                    "tags": [f"a{i % 5}", f"b{i % 9}"], "born": Date.from_ordinal(first + i % 20000),
                    "seen": DateTime.from_timestamp(1700000000 + i, utc),
                }
                for i in range(at, at + BATCH)
            ]
            query = "UNWIND $rows AS row CREATE (p:Person) SET p = row"
            session.execute_write(lambda tx: tx.run(query, rows=rows).consume())
        for kind in ("KNOWS", "WORKS_WITH"):
            for at in range(0, NODES, BATCH):
                if kind == "KNOWS":
                    rows = [{"a": i, "b": i * 7919 % NODES, "p": {"since": i}} for i in range(at, at + BATCH)]
                else:
                    rows = [{"a": i, "b": i * 104729 % NODES, "p": {"weight": i / 3.0}} for i in range(at, at + BATCH)]
                query = (
                    "UNWIND $rows AS row MATCH (a:Person {id: row.a}) MATCH (b:Person {id: row.b}) "
                    f"CREATE (a)-[r:{kind}]->(b) SET r = row.p"
                )
                session.execute_write(lambda tx: tx.run(query, rows=rows).consume())
