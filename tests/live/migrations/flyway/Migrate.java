import java.util.Map;
import org.flywaydb.core.Flyway;

/** What Flyway's command line does, as `java Migrate.java URL USER FOLDER migrate|repair TRANSACTIONAL-LOCK`. */
public class Migrate {
    public static void main(String[] args) {
        Flyway flyway = Flyway.configure()
                .dataSource(args[0], args[1], System.getenv("FLYWAY_PASSWORD"))
                .locations("filesystem:" + args[2])
                .configuration(Map.of("flyway.postgresql.transactional.lock", args[4]))
                .load();
        if (args[3].equals("repair")) {
            flyway.repair();
        } else {
            flyway.migrate();
        }
    }
}
