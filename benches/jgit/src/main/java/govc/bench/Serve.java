package govc.bench;

import org.eclipse.jetty.server.Server;
import org.eclipse.jetty.server.ServerConnector;
import org.eclipse.jetty.servlet.ServletContextHandler;
import org.eclipse.jetty.servlet.ServletHolder;
import org.eclipse.jgit.http.server.GitServlet;
import org.eclipse.jgit.storage.file.WindowCacheConfig;

/** Serves the bare repositories of a folder, and says on which port. */
public final class Serve {
    public static void main(String[] arguments) throws Exception {
        // As for a server whose repositories fit into memory.
        WindowCacheConfig cache = new WindowCacheConfig();
        cache.setPackedGitLimit(1L << 30);
        cache.setPackedGitWindowSize(64 << 10);
        cache.setPackedGitOpenFiles(512);
        cache.install();

        Server server = new Server();
        ServerConnector connector = new ServerConnector(server);
        connector.setHost("127.0.0.1");
        server.addConnector(connector);
        ServletContextHandler handler = new ServletContextHandler();
        ServletHolder git = new ServletHolder(new GitServlet());
        git.setInitParameter("base-path", arguments[0]);
        git.setInitParameter("export-all", "1");
        handler.addServlet(git, "/*");
        server.setHandler(handler);
        server.start();
        System.out.println("listening on http://127.0.0.1:" + connector.getLocalPort());
        server.join();
    }
}
