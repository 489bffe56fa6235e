import java.io.File;
import java.util.ArrayList;
import java.util.List;

import org.eclipse.jgit.api.Git;
import org.eclipse.jgit.lib.NullProgressMonitor;
import org.eclipse.jgit.lib.Ref;
import org.eclipse.jgit.transport.FilterSpec;
import org.eclipse.jgit.transport.PushResult;
import org.eclipse.jgit.transport.RefSpec;
import org.eclipse.jgit.transport.RemoteRefUpdate;
import org.eclipse.jgit.transport.TagOpt;
import org.eclipse.jgit.transport.Transport;
import org.eclipse.jgit.transport.URIish;

/** The steps of the matrix (../main.rs) with JGit. */
public final class Client {
    private static final String BRANCHES = "+refs/heads/*:refs/remotes/origin/*";
    private static final String MAIN = "+refs/heads/main:refs/remotes/origin/main";

    public static void main(String[] words) throws Exception {
        switch (words[0]) {
            case "ls-remote" -> lsRemote(words[1]);
            case "clone" -> Git.cloneRepository().setURI(words[1]).setDirectory(new File(words[2])).call().close();
            case "clone-branch" -> Git.cloneRepository()
                    .setURI(words[1])
                    .setDirectory(new File(words[2]))
                    .setBranch("refs/heads/" + words[3])
                    .setBranchesToClone(List.of("refs/heads/" + words[3]))
                    .setNoTags()
                    .call()
                    .close();
            case "clone-depth" -> Git.cloneRepository()
                    .setURI(words[1])
                    .setDirectory(new File(words[2]))
                    .setDepth(Integer.parseInt(words[3]))
                    .setNoTags()
                    .call()
                    .close();
            case "clone-filter" -> cloneFilter(words[1], words[2], words[3]);
            case "fetch" -> {
                try (Git git = Git.open(new File(words[1]))) {
                    git.fetch().setTagOpt(TagOpt.FETCH_TAGS).call();
                }
            }
            case "deepen" -> {
                try (Git git = Git.open(new File(words[1]))) {
                    git.fetch().setTagOpt(TagOpt.NO_TAGS).setRefSpecs(MAIN).setDepth(Integer.parseInt(words[2])).call();
                }
            }
            case "unshallow" -> {
                try (Git git = Git.open(new File(words[1]))) {
                    git.fetch().setTagOpt(TagOpt.NO_TAGS).setRefSpecs(MAIN).setUnshallow(true).call();
                }
            }
            case "push" -> push(words);
            default -> throw new IllegalArgumentException("no step " + words[0]);
        }
    }

    private static void lsRemote(String url) throws Exception {
        for (Ref ref : Git.lsRemoteRepository().setRemote(url).call()) {
            if (ref.getObjectId() != null) {
                System.out.println(ref.getObjectId().name() + "\t" + ref.getName());
            }
        }
    }

    private static void cloneFilter(String url, String dir, String filter) throws Exception {
        try (Git git = Git.init().setDirectory(new File(dir)).call()) {
            git.remoteAdd().setName("origin").setUri(new URIish(url)).call();
            try (Transport transport = Transport.open(git.getRepository(), "origin")) {
                transport.setFilterSpec(FilterSpec.fromFilterLine(filter));
                transport.setTagOpt(TagOpt.FETCH_TAGS);
                transport.fetch(NullProgressMonitor.INSTANCE, List.of(new RefSpec(BRANCHES)));
            }
        }
    }

    private static void push(String[] words) throws Exception {
        List<String> options = new ArrayList<>();
        List<RefSpec> specs = new ArrayList<>();
        boolean atomic = false;
        for (int at = 3; at < words.length; at++) {
            String word = words[at];
            if (word.startsWith("--push-option=")) {
                options.add(word.substring("--push-option=".length()));
            } else if (word.equals("--atomic")) {
                atomic = true;
            } else {
                specs.add(new RefSpec(word));
            }
        }
        try (Git git = Git.open(new File(words[1]))) {
            var push = git.push().setRemote(words[2]).setRefSpecs(specs).setAtomic(atomic);
            if (!options.isEmpty()) {
                push.setPushOptions(options);
            }
            for (PushResult result : push.call()) {
                for (RemoteRefUpdate update : result.getRemoteUpdates()) {
                    switch (update.getStatus()) {
                        case OK, UP_TO_DATE -> { }
                        default -> throw new IllegalStateException(update.toString());
                    }
                }
            }
        }
    }
}
