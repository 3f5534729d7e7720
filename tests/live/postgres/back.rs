//! One lost table straight back into a live database, whole or not at all.

use summitctl::capture::{FingerprintKey, MemoryParts};
use summitctl::error::Error;
use summitctl::providers::postgres::{
    BackOptions, TableBack, Target, capture, find_table, fingerprints, is_back, look_at_away,
    look_at_table, plant_marker, put_back, take_away,
};
use summitctl::wait::Cancel;

use super::round_trip::capture_options;
use super::{database, scratch_of, sql, value};

const SHOP: &str = r#"
CREATE ROLE clerk; CREATE ROLE owner_of_all;
CREATE TYPE state AS ENUM ('new', 'paid');
CREATE TABLE customers (id int PRIMARY KEY, name text);
CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.note := 'touched'; RETURN NEW; END $$;
CREATE SEQUENCE lone;
CREATE TABLE orders (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, no serial, lone_no int DEFAULT nextval('lone'),
    customer int NOT NULL REFERENCES customers ON DELETE CASCADE, parent bigint REFERENCES orders,
    state state NOT NULL DEFAULT 'new', total numeric CHECK (total >= 0), twice numeric GENERATED ALWAYS AS (total * 2) STORED,
    note text, "odd ""name" int, at timestamptz DEFAULT now(), UNIQUE (customer, no));
ALTER TABLE orders OWNER TO owner_of_all;
GRANT SELECT, UPDATE (note) ON orders TO clerk;
CREATE INDEX by_state ON orders (state) WHERE total > 10;
CREATE STATISTICS of_orders ON customer, state FROM orders;
CREATE TRIGGER touched BEFORE INSERT OR UPDATE ON orders FOR EACH ROW EXECUTE FUNCTION touch();
ALTER TABLE orders ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON orders FOR SELECT TO clerk USING (total > 5);
COMMENT ON TABLE orders IS 'what was ordered'; COMMENT ON COLUMN orders.total IS 'in cents'; COMMENT ON INDEX by_state IS 'of some';
COMMENT ON CONSTRAINT orders_customer_fkey ON orders IS 'whose';
CREATE TABLE lines (id int PRIMARY KEY, "order" bigint REFERENCES orders, what text);
CREATE TABLE notes (id int PRIMARY KEY, "order" bigint);
ALTER TABLE notes ADD CONSTRAINT loose FOREIGN KEY ("order") REFERENCES orders NOT VALID;
INSERT INTO customers SELECT n, 'c' || n FROM generate_series(1, 50) n;
INSERT INTO orders (customer, total) SELECT 1 + n % 50, n FROM generate_series(1, 500) n;
UPDATE orders SET parent = id - 1 WHERE id > 1;
INSERT INTO lines SELECT n, n, 'l' FROM generate_series(1, 400) n;
INSERT INTO notes SELECT n, n FROM generate_series(1, 20) n;
CREATE TABLE parted (n int) PARTITION BY RANGE (n); CREATE TABLE part PARTITION OF parted FOR VALUES FROM (0) TO (10);
INSERT INTO part VALUES (1);
CREATE TABLE events (n int, "order" bigint CONSTRAINT of_order REFERENCES orders) PARTITION BY RANGE (n);
CREATE TABLE events_low PARTITION OF events FOR VALUES FROM (0) TO (10); INSERT INTO events VALUES (1, 1);
CREATE TABLE archive () INHERITS (lines); INSERT INTO archive VALUES (1, 123456, 'long gone');
CREATE PUBLICATION all_of_it FOR TABLE orders, customers;
CREATE PUBLICATION some_of_it FOR TABLE orders (id, total) WHERE (total > 3) WITH (publish = 'insert');
CREATE TABLE seen (n int); CREATE VIEW of_seen AS SELECT * FROM seen; INSERT INTO seen VALUES (1);
"#;

/// Foreign keys of others to the table in its place.
const KEYS: &str = "SELECT count(*)::text FROM pg_constraint WHERE contype = 'f' AND confrelid = 'public.orders'::regclass AND conrelid <> confrelid AND conparentid = 0";
const PUBLISHED: &str =
    "SELECT count(*)::text FROM pg_publication_rel WHERE prrelid = 'public.orders'::regclass";

struct Shop {
    target: Target,
    parts: MemoryParts,
}

fn what(table: &str, replace: bool, id: &str) -> TableBack {
    TableBack {
        schema: "public".to_owned(),
        table: table.to_owned(),
        replace,
        id: id.to_owned(),
        aside: format!("summitctl_was_{id}"),
    }
}

fn options() -> BackOptions {
    BackOptions {
        key: FingerprintKey::new([9; 32]),
        cancel: Cancel::new(),
    }
}

impl Shop {
    async fn put_back(&self, what: &TableBack) -> Result<(), Error> {
        Box::pin(put_back(
            &self.target,
            &self.parts,
            "rich",
            what,
            &options(),
        ))
        .await
    }

    /// What the whole database adds up to.
    async fn state(&self) -> String {
        let all = Box::pin(fingerprints(&self.target, &capture_options(2)))
            .await
            .expect("measures");
        format!("{all:?}")
    }

    async fn refused(&self, what: &TableBack) -> String {
        let before = self.state().await;
        let error = self.put_back(what).await.expect_err("is refused");
        assert_eq!(self.state().await, before, "nothing was changed");
        let schemas = "SELECT count(*)::text FROM pg_namespace WHERE nspname LIKE 'summitctl\\_%'";
        assert_eq!(value(&self.target, schemas).await.as_deref(), Some("0"));
        error.one_line()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_table_comes_back_with_all_that_hangs_on_it() {
    for major in [15, 17, 18] {
        Box::pin(lost_and_back(major)).await;
    }
}

async fn lost_and_back(major: u32) {
    let (_folder, server) = scratch_of(major).await;
    let target = database(&server, SHOP).await;
    plant_marker(&target, "m").await.expect("plants");
    let parts = MemoryParts::default();
    Box::pin(capture(&target, &parts, &capture_options(2)))
        .await
        .expect("captures");
    let shop = Shop { target, parts };
    let whole = shop.state().await;
    let found = find_table(&shop.parts, "rich", "orders").expect_err("has no schema");
    assert_eq!(found.hints(), ["Did you mean `public.orders`?"]);

    // It holds rows: only with consent.
    let there = what("orders", false, "one");
    let text = shop.refused(&there).await;
    assert!(text.contains("holds 500 rows"), "{text}");

    // Lost, with the keys of others.
    sql(&shop.target, "DROP TABLE orders CASCADE").await;
    let seen = look_at_table(&shop.target, &shop.parts, "rich", &there)
        .await
        .expect("looks");
    assert_eq!((seen.rows, seen.ties.keys.len()), (None, 3), "{seen:?}");
    assert_eq!(seen.ties.publications, ["all_of_it", "some_of_it"]);
    assert!(seen.ties.blocked.is_empty(), "{seen:?}");

    // Rows of others that fit no longer are counted, in both directions.
    sql(&shop.target, "INSERT INTO lines VALUES (1000, 9999, 'x'), (1001, 9998, 'x'); DELETE FROM customers WHERE id = 7").await;
    let text = shop.refused(&there).await;
    assert!(
        text.contains("2 rows of `public.lines` break `lines_order_fkey`"),
        "{text}"
    );
    assert!(
        text.contains("10 rows of `public.orders` break `orders_customer_fkey`"),
        "{text}"
    );
    sql(
        &shop.target,
        "DELETE FROM lines WHERE id >= 1000; INSERT INTO customers VALUES (7, 'c7')",
    )
    .await;

    shop.put_back(&there).await.expect("comes back");
    assert_eq!(
        is_back(&shop.target, &there).await.expect("looks"),
        Some(false)
    );
    assert_eq!(shop.state().await, whole, "as if it had never been away");
    let next = "INSERT INTO orders (customer, total) VALUES (1, 1) RETURNING id || ' ' || no || ' ' || lone_no";
    assert_eq!(
        value(&shop.target, next).await.as_deref(),
        Some("501 501 501")
    );
    sql(&shop.target, "DELETE FROM orders WHERE id = 501").await;

    // Taken away again: nothing is lost, and nobody is left behind.
    assert!(
        take_away(&shop.target, &there, "summitctl_undone_one")
            .await
            .expect("goes")
    );
    assert!(
        !take_away(&shop.target, &there, "summitctl_undone_one")
            .await
            .expect("is gone")
    );
    assert_eq!(is_back(&shop.target, &there).await.expect("looks"), None);
    let kept = "SELECT count(*)::text FROM summitctl_undone_one.orders";
    assert_eq!(value(&shop.target, kept).await.as_deref(), Some("500"));
    sql(&shop.target, "DROP SCHEMA summitctl_undone_one CASCADE").await;
    shop.put_back(&what("orders", false, "two"))
        .await
        .expect("comes back");

    // There, and wrong: it moves aside, and comes back with the keys of others when the restored one is taken away.
    sql(&shop.target, "DELETE FROM lines WHERE id > 100; DELETE FROM notes; UPDATE orders SET parent = NULL; DELETE FROM orders WHERE id > 100").await;
    sql(&shop.target, "ALTER TABLE orders ADD COLUMN added int DEFAULT 7; CREATE TABLE later (id bigint REFERENCES orders)").await;
    let wrong = shop.state().await;
    let replace = what("orders", true, "three");
    let seen = look_at_table(&shop.target, &shop.parts, "rich", &replace)
        .await
        .expect("looks");
    assert_eq!(
        (seen.rows, seen.ties.keys.len()),
        (Some(100), 4),
        "{seen:?}"
    );
    let blocked = ["orders", "customers", "events", "later", "lines", "notes"];
    assert_eq!(seen.ties.blocked, blocked.map(|t| format!("public.{t}")));
    shop.put_back(&replace).await.expect("is replaced");
    let rows = |table: &str| format!("SELECT count(*)::text FROM {table}");
    assert_eq!(
        value(&shop.target, &rows("orders")).await.as_deref(),
        Some("500")
    );
    assert_eq!(
        value(&shop.target, &rows("summitctl_was_three.orders"))
            .await
            .as_deref(),
        Some("100")
    );
    assert_eq!(value(&shop.target, KEYS).await.as_deref(), Some("4"));
    assert_eq!(value(&shop.target, PUBLISHED).await.as_deref(), Some("2"));
    // Nothing ties the table that moved to those that are in use.
    let tied = "SELECT (SELECT count(*) FROM pg_constraint WHERE contype = 'f' AND conrelid = t.oid AND conrelid <> confrelid)
        + (SELECT count(*) FROM pg_publication_rel WHERE prrelid = t.oid) || '' FROM pg_class t WHERE t.oid = 'summitctl_was_three.orders'::regclass";
    assert_eq!(value(&shop.target, tied).await.as_deref(), Some("0"));

    // What was made on it since is not dragged along, and a new key is tied to what comes back.
    sql(&shop.target, "CREATE VIEW since AS SELECT id FROM orders").await;
    let refused = take_away(&shop.target, &replace, "summitctl_undone_three")
        .await
        .expect_err("a view hangs on it");
    assert!(
        refused.one_line().contains("view public.since"),
        "{refused:?}"
    );
    sql(
        &shop.target,
        "DROP VIEW since; CREATE TABLE newer (id bigint REFERENCES orders)",
    )
    .await;
    let seen = look_at_away(&shop.target, &replace)
        .await
        .expect("looks")
        .expect("is there");
    assert_eq!(seen.keys.len(), 5, "{seen:?}");
    assert!(
        take_away(&shop.target, &replace, "summitctl_undone_three")
            .await
            .expect("goes")
    );
    assert_eq!(value(&shop.target, KEYS).await.as_deref(), Some("5"));
    sql(
        &shop.target,
        "DROP SCHEMA summitctl_undone_three CASCADE; DROP TABLE newer",
    )
    .await;
    assert_eq!(shop.state().await, wrong);

    // Lost, and made again by somebody else, empty: what led to it then leads to it again.
    sql(
        &shop.target,
        "DROP TABLE orders CASCADE; DROP TABLE later; CREATE TABLE orders (id bigint PRIMARY KEY)",
    )
    .await;
    let empty = what("orders", false, "five");
    shop.put_back(&empty).await.expect("comes back");
    assert_eq!(value(&shop.target, KEYS).await.as_deref(), Some("3"));
    assert_eq!(value(&shop.target, PUBLISHED).await.as_deref(), Some("2"));
    sql(&shop.target, "DROP SCHEMA summitctl_was_five CASCADE").await;
    let wrong = shop.state().await;

    for (table, part) in [("part", "partition"), ("seen", "view public.of_seen")] {
        let text = shop
            .put_back(&what(table, true, "four"))
            .await
            .expect_err("is refused")
            .one_line();
        assert!(text.contains(part), "{part}: {text}");
    }
    assert_eq!(shop.state().await, wrong);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_aborted_or_disturbed_return_leaves_nothing() {
    let (_folder, server) = scratch_of(15).await;
    let target = database(&server, SHOP).await;
    let parts = MemoryParts::default();
    Box::pin(capture(&target, &parts, &capture_options(2)))
        .await
        .expect("captures");
    let shop = Shop { target, parts };
    sql(&shop.target, "DROP TABLE orders CASCADE").await;
    let back = what("orders", false, "one");

    // A role that is gone, a type that is gone.
    sql(&shop.target, "ALTER ROLE clerk RENAME TO somebody").await;
    let text = shop.refused(&back).await;
    assert!(text.contains("no role `clerk`"), "{text}");
    sql(
        &shop.target,
        "ALTER ROLE somebody RENAME TO clerk; ALTER TYPE state RENAME TO gone",
    )
    .await;
    let text = shop.refused(&back).await;
    assert!(text.contains("public.state"), "{text}");
    sql(&shop.target, "ALTER TYPE gone RENAME TO state").await;

    // The session is ended in the middle.
    let gate = Gate::new(&shop.parts);
    let ended = async {
        gate.reached().await;
        let end = "SELECT count(pg_terminate_backend(pid))::text FROM pg_stat_activity WHERE application_name = 'summitctl' AND query LIKE '%COPY \"public\".\"orders\"%' AND pid <> pg_backend_pid()";
        let ended = value(&server.target(), end).await;
        gate.go_on.notify_one();
        ended.as_deref() == Some("1")
    };
    let (outcome, killed) = tokio::join!(
        async { put_back(&shop.target, &gate, "rich", &back, &options()).await },
        ended
    );
    assert!(killed, "it was caught at it");
    outcome.expect_err("its session was ended");
    assert_eq!(is_back(&shop.target, &back).await.expect("looks"), None);
    let there = "SELECT (to_regclass('public.orders') IS NULL)::text";
    assert_eq!(value(&shop.target, there).await.as_deref(), Some("true"));

    shop.put_back(&back).await.expect("comes back");
    assert_eq!(
        value(&shop.target, "SELECT count(*)::text FROM orders")
            .await
            .as_deref(),
        Some("500")
    );
}

/// A backup whose rows of `orders` stop half-way, until somebody lets them go on.
struct Gate<'a> {
    parts: &'a MemoryParts,
    reached: std::sync::Arc<tokio::sync::Notify>,
    go_on: std::sync::Arc<tokio::sync::Notify>,
}

impl<'a> Gate<'a> {
    fn new(parts: &'a MemoryParts) -> Self {
        Gate {
            parts,
            reached: Default::default(),
            go_on: Default::default(),
        }
    }

    async fn reached(&self) {
        self.reached.notified().await;
    }
}

struct Slow {
    inner: Box<dyn summitctl::capture::PartReader>,
    reached: std::sync::Arc<tokio::sync::Notify>,
    go_on: std::sync::Arc<tokio::sync::Notify>,
    given: bool,
}

#[async_trait::async_trait]
impl summitctl::capture::PartReader for Slow {
    async fn next(&mut self) -> summitctl::error::Result<Option<bytes::Bytes>> {
        let next = self.inner.next().await?;
        if self.given {
            self.reached.notify_one();
            self.go_on.notified().await;
            // It stops once.
            self.go_on.notify_one();
        }
        self.given = true;
        Ok(next)
    }
}

#[async_trait::async_trait]
impl summitctl::capture::PartSource for Gate<'_> {
    fn parts(&self, prefix: &str) -> Vec<summitctl::capture::PartInfo> {
        self.parts.parts(prefix)
    }

    async fn open(
        &self,
        name: &str,
    ) -> summitctl::error::Result<Box<dyn summitctl::capture::PartReader>> {
        let inner = self.parts.open(name).await?;
        if !name.ends_with("public.orders") {
            return Ok(inner);
        }
        Ok(Box::new(Slow {
            inner,
            reached: std::sync::Arc::clone(&self.reached),
            go_on: std::sync::Arc::clone(&self.go_on),
            given: false,
        }))
    }
}
