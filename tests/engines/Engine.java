// Starts one real engine from the parts that pom.xml fetches: `java Engine.java NAME PARTS CHECKSUMS SECONDS`.
//
// The engine is a child process with a heap of half a gigabyte, on a free port of the loopback device, in a home of
// its own below the temporary folder. When standard input ends, when SECONDS have passed or when this process is
// told to stop, the child is ended and its home removed. On standard output stands one line, `ready URL VERSION`, or
// `failed: why`.

import java.io.IOException;
import java.io.InputStream;
import java.net.HttpURLConnection;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.net.URI;
import java.nio.file.FileVisitResult;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.Path;
import java.nio.file.SimpleFileVisitor;
import java.nio.file.attribute.BasicFileAttributes;
import java.nio.file.attribute.PosixFilePermissions;
import java.security.MessageDigest;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Enumeration;
import java.util.HexFormat;
import java.util.List;
import java.util.TreeMap;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;
import java.util.zip.ZipEntry;
import java.util.zip.ZipFile;

public final class Engine {
    /** A plugin that is laid out by hand, because Central has its jars but no zip. */
    record Plugin(String folder, String className, String... extended) {}

    record Kind(String family, String main, List<Plugin> plugins, List<String> settings) {}

    static Kind kind(String name) {
        List<String> common = List.of("discovery.type: single-node",
                "cluster.routing.allocation.disk.threshold_enabled: false", "cluster.max_shards_per_node: 20000");
        return switch (name) {
            case "opensearch-2" -> new Kind("opensearch", "bin/opensearch", List.of(
                    new Plugin("analysis-common", "org.opensearch.analysis.common.CommonAnalysisPlugin"),
                    new Plugin("mapper-extras", "org.opensearch.index.mapper.MapperExtrasPlugin"),
                    new Plugin("parent-join", "org.opensearch.join.ParentJoinPlugin"),
                    new Plugin("percolator", "org.opensearch.percolator.PercolatorPlugin"),
                    new Plugin("lang-painless", "org.opensearch.painless.PainlessPlugin")), common);
            // its archive brings its modules
            case "opensearch-3" -> new Kind("opensearch", "bin/opensearch", List.of(), common);
            case "elasticsearch-8", "elasticsearch-9" -> {
                List<String> settings = new ArrayList<>(common);
                settings.add("xpack.security.enabled: false");
                List<Plugin> plugins = new ArrayList<>();
                plugins.add(new Plugin("x-pack-mapper-version",
                        "org.elasticsearch.xpack.versionfield.VersionFieldPlugin", "x-pack-core"));
                if (name.equals("elasticsearch-8")) {
                    plugins.add(new Plugin("x-pack-kql", "org.elasticsearch.xpack.kql.KqlPlugin", "x-pack-core"));
                    plugins.add(new Plugin("x-pack-esql", "org.elasticsearch.xpack.esql.plugin.EsqlPlugin",
                            "x-pack-core"));
                }
                yield new Kind("elasticsearch", "bin/elasticsearch", plugins, settings);
            }
            default -> throw new IllegalArgumentException("there is no engine `" + name + "`");
        };
    }

    private static Process child;
    private static Path home;

    public static void main(String[] args) throws Exception {
        String name = args[0];
        Path parts = Path.of(args[1]).resolve(name);
        long seconds = Long.parseLong(args[3]);
        Runtime.getRuntime().addShutdownHook(new Thread(Engine::stop));
        try {
            verify(name, parts, Path.of(args[2]));
            start(name, parts);
        } catch (Exception e) {
            System.out.println("failed: " + e.getMessage());
            System.exit(1);
        }
        Thread limit = new Thread(() -> {
            try {
                TimeUnit.SECONDS.sleep(seconds);
            } catch (InterruptedException e) {
                return;
            }
            System.exit(3);
        });
        limit.setDaemon(true);
        limit.start();
        child.onExit().thenRun(() -> System.exit(4));
        while (System.in.read() >= 0) {
            // whoever holds the other end keeps the engine alive
        }
        System.exit(0);
    }

    /** Compares every part with the checksum that is committed. */
    private static void verify(String name, Path parts, Path checksums) throws Exception {
        TreeMap<String, String> wanted = new TreeMap<>();
        for (String line : Files.readAllLines(checksums)) {
            String[] columns = line.split(" {2}", 2);
            if (columns.length == 2 && columns[1].startsWith(name + "/")) {
                wanted.put(columns[1], columns[0]);
            }
        }
        if (wanted.isEmpty()) {
            throw new IOException("no checksums are recorded for " + name);
        }
        for (var entry : wanted.entrySet()) {
            Path file = parts.getParent().resolve(entry.getKey());
            MessageDigest digest = MessageDigest.getInstance("SHA-256");
            try (InputStream in = Files.newInputStream(file)) {
                byte[] buffer = new byte[1 << 16];
                for (int n = in.read(buffer); n >= 0; n = in.read(buffer)) {
                    digest.update(buffer, 0, n);
                }
            }
            String found = HexFormat.of().formatHex(digest.digest());
            if (!found.equals(entry.getValue())) {
                throw new IOException(entry.getKey() + " is not what was recorded: sha256 " + found);
            }
        }
    }

    private static void start(String name, Path parts) throws Exception {
        Kind kind = kind(name);
        home = Files.createTempDirectory("rulepack-engine-").toRealPath();
        Path zip;
        try (Stream<Path> files = Files.list(parts)) {
            zip = files.filter(f -> f.toString().endsWith(".zip")).findFirst().orElseThrow();
        }
        String stem = zip.getFileName().toString().replace(".zip", "");
        String version = stem.substring(stem.indexOf('-') + 1);
        unzip(zip, home);
        Path root = home.resolve(stem);
        for (Plugin plugin : kind.plugins()) {
            lay(plugin, kind.family(), version, parts.resolve(plugin.folder()), root.resolve("modules"));
        }
        int port = freePort();
        List<String> settings = new ArrayList<>(kind.settings());
        settings.add("network.host: 127.0.0.1");
        settings.add("http.port: " + port);
        settings.add("transport.port: " + freePort());
        Files.write(root.resolve("config/" + kind.family() + ".yml"), settings);
        Files.createDirectories(root.resolve("config/jvm.options.d"));
        Files.write(root.resolve("config/jvm.options.d/heap.options"), List.of("-Xms512m", "-Xmx512m"));
        Path temporary = Files.createDirectories(home.resolve("tmp"));
        List<String> command = new ArrayList<>(List.of("nice", "-n", "10"));
        if (System.getProperty("user.name").equals("root")) {
            // the engines refuse to run as root
            run("chown", "-R", "65534:65534", home.toString());
            command.addAll(List.of("setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups"));
        }
        command.add(root.resolve(kind.main()).toString());
        Path log = home.resolve("engine.log");
        ProcessBuilder builder = new ProcessBuilder(command).directory(root.toFile())
                .redirectErrorStream(true).redirectOutput(log.toFile());
        for (String prefix : List.of("ES", "OPENSEARCH")) {
            builder.environment().put(prefix + "_JAVA_HOME", System.getProperty("java.home"));
            builder.environment().put(prefix + "_TMPDIR", temporary.toString());
            builder.environment().remove(prefix + "_JAVA_OPTS");
        }
        builder.environment().remove("JAVA_TOOL_OPTIONS");
        builder.environment().put("HOME", temporary.toString());
        builder.redirectInput(ProcessBuilder.Redirect.from(new java.io.File("/dev/null")));
        child = builder.start();
        String url = "http://127.0.0.1:" + port;
        Instant deadline = Instant.now().plus(Duration.ofSeconds(180));
        while (!answers(url)) {
            if (!child.isAlive() || Instant.now().isAfter(deadline)) {
                throw new IOException(name + " did not come up: " + String.join(" / ", tail(log)));
            }
            TimeUnit.MILLISECONDS.sleep(300);
        }
        System.out.println("ready " + url + " " + version);
        System.out.flush();
    }

    private static void lay(Plugin plugin, String family, String version, Path jars, Path modules) throws IOException {
        Path folder = Files.createDirectories(modules.resolve(plugin.folder()));
        try (Stream<Path> files = Files.list(jars)) {
            for (Path jar : (Iterable<Path>) files::iterator) {
                Files.copy(jar, folder.resolve(jar.getFileName()));
            }
        }
        List<String> lines = new ArrayList<>(List.of("description=" + plugin.folder(), "version=" + version,
                "name=" + plugin.folder(), "classname=" + plugin.className(), "java.version=11",
                family + ".version=" + version));
        if (plugin.extended().length > 0) {
            lines.add("extended.plugins=" + String.join(",", plugin.extended()));
        }
        Files.write(folder.resolve("plugin-descriptor.properties"), lines);
        if (plugin.folder().equals("lang-painless")) {
            // OpenSearch 2 runs under a security manager, and scripts are compiled to classes
            Files.write(folder.resolve("plugin-security.policy"), List.of("grant {",
                    "  permission java.lang.RuntimePermission \"createClassLoader\";",
                    "  permission java.lang.RuntimePermission \"getClassLoader\";",
                    "  permission org.opensearch.script.ClassPermission \"*\";", "};"));
        }
    }

    private static void unzip(Path zip, Path into) throws IOException {
        try (ZipFile file = new ZipFile(zip.toFile())) {
            for (Enumeration<? extends ZipEntry> e = file.entries(); e.hasMoreElements();) {
                ZipEntry entry = e.nextElement();
                Path target = into.resolve(entry.getName()).normalize();
                if (!target.startsWith(into)) {
                    throw new IOException("the zip leaves its folder: " + entry.getName());
                }
                if (entry.isDirectory()) {
                    Files.createDirectories(target);
                    continue;
                }
                Files.createDirectories(target.getParent());
                try (InputStream in = file.getInputStream(entry)) {
                    Files.copy(in, target);
                }
                if (target.getParent().endsWith("bin")) {
                    Files.setPosixFilePermissions(target, PosixFilePermissions.fromString("rwxr-xr-x"));
                }
            }
        }
    }

    private static int freePort() throws IOException {
        try (ServerSocket socket = new ServerSocket(0, 1, InetAddress.getLoopbackAddress())) {
            return socket.getLocalPort();
        }
    }

    private static boolean answers(String url) {
        try {
            HttpURLConnection c = (HttpURLConnection) URI
                    .create(url + "/_cluster/health?wait_for_status=yellow&timeout=1s").toURL().openConnection();
            c.setConnectTimeout(1000);
            c.setReadTimeout(5000);
            return c.getResponseCode() == 200;
        } catch (IOException e) {
            return false;
        }
    }

    private static List<String> tail(Path log) throws IOException {
        List<String> lines = Files.readAllLines(log);
        List<String> telling = lines.stream()
                .filter(l -> !l.contains("JVM arguments")).filter(l -> l.contains("ERROR") || l.contains("Exception") || l.contains("Error")).limit(6).toList();
        return telling.isEmpty() ? lines.subList(Math.max(0, lines.size() - 4), lines.size()) : telling;
    }

    private static void run(String... command) throws Exception {
        if (new ProcessBuilder(command).inheritIO().start().waitFor() != 0) {
            throw new IOException("`" + command[0] + "` failed");
        }
    }

    private static synchronized void stop() {
        try {
            if (child != null) {
                List<ProcessHandle> all = child.descendants().toList();
                child.destroy();
                if (!child.waitFor(15, TimeUnit.SECONDS)) {
                    child.destroyForcibly();
                }
                all.forEach(ProcessHandle::destroyForcibly);
                child = null;
            }
            if (home != null && System.getenv("RULEPACK_KEEP_ENGINE") == null) {
                remove(home);
                home = null;
            }
        } catch (IOException | InterruptedException e) {
            System.err.println("could not clean up: " + e);
        }
    }

    private static void remove(Path folder) throws IOException {
        if (!Files.exists(folder, LinkOption.NOFOLLOW_LINKS)) {
            return;
        }
        Files.walkFileTree(folder, new SimpleFileVisitor<>() {
            @Override
            public FileVisitResult visitFile(Path file, BasicFileAttributes a) throws IOException {
                Files.deleteIfExists(file);
                return FileVisitResult.CONTINUE;
            }

            @Override
            public FileVisitResult postVisitDirectory(Path dir, IOException e) throws IOException {
                Files.deleteIfExists(dir);
                return FileVisitResult.CONTINUE;
            }
        });
    }
}
