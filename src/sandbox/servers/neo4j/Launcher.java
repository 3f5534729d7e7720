import java.nio.file.Files;
import java.nio.file.Path;
import org.neo4j.cli.AdminTool;
import org.neo4j.cli.ExecutionContext;
import org.neo4j.dbms.api.DatabaseManagementService;
import org.neo4j.dbms.api.DatabaseManagementServiceBuilder;

/**
 * Runs a Neo4j Community server: {@code Launcher HOME PASSWORD-FILE [--train]}.
 *
 * The first start sets the password of the user `neo4j` through neo4j-admin's own code, in this process, so that the
 * password is in no argument list. `--train` starts, runs a few queries and stops: it loads the classes that go into
 * the class-data archive, which makes later starts quick.
 */
public final class Launcher {
    private Launcher() {}

    public static void main(String[] args) {
        // The server leaves threads behind that would keep a failed process alive: every way out is an exit.
        try {
            run(Path.of(args[0]), Path.of(args[1]), args.length > 2 && args[2].equals("--train"));
        } catch (Throwable failure) {
            failure.printStackTrace();
            System.exit(1);
        }
    }

    private static void run(Path home, Path passwordFile, boolean train) throws Exception {
        if (!Files.exists(home.resolve("data/databases/system"))) {
            setInitialPassword(home, passwordFile);
        }
        DatabaseManagementService service = new DatabaseManagementServiceBuilder(home)
                .loadPropertiesFromFile(home.resolve("conf/neo4j.conf"))
                .build();
        if (train) {
            exercise(service);
            service.shutdown();
            System.exit(0);
        }
        Runtime.getRuntime().addShutdownHook(new Thread(service::shutdown));
        System.out.println("started");
        Thread.currentThread().join();
    }

    private static void setInitialPassword(Path home, Path passwordFile) throws Exception {
        String password = Files.readString(passwordFile).strip();
        ExecutionContext context = new ExecutionContext(home, home.resolve("conf"));
        int code = AdminTool.execute(context, "dbms", "set-initial-password", password);
        if (code != 0) {
            System.exit(code);
        }
    }

    private static void exercise(DatabaseManagementService service) {
        service.database("system").executeTransactionally("SHOW DATABASES");
        var database = service.database("neo4j");
        for (String query : new String[] {
            "RETURN 1",
            "UNWIND range(1, 10) AS i CREATE (a:A {i: i}), (b:B), (a)-[:R {i: i}]->(b)",
            "MATCH (n) RETURN id(n), labels(n), properties(n) ORDER BY id(n) LIMIT 5",
            "MATCH (a)-[r]->(b) WHERE id(r) >= 0 RETURN id(r), type(r), id(a), id(b), properties(r)",
            "CREATE CONSTRAINT FOR (a:A) REQUIRE a.i IS UNIQUE",
            "SHOW INDEXES YIELD name, createStatement",
            "SHOW CONSTRAINTS YIELD name, createStatement",
            "MATCH (n) DETACH DELETE n",
        }) {
            database.executeTransactionally(query);
        }
    }
}
