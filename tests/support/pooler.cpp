#include "support/pooler.hpp"

#include <pwd.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "base/error.hpp"
#include "pg/session.hpp"

namespace lockkeeper::test {
namespace {

namespace fs = std::filesystem;

const std::string kFetched = LOCKKEEPER_SOURCE "/build/pgbouncer";

std::string program() {
  for (const auto& path : {kFetched + "/usr/sbin/pgbouncer", std::string("/usr/sbin/pgbouncer")})
    if (fs::exists(path)) return path;
  return {};
}

}  // namespace

bool Pooler::is_there() { return !program().empty(); }

Pooler::Pooler(const pg::Dsn& server, const std::string& user, int sessions)
    : through_(server.with("host", directory_.path()).with("port", "6432")) {
  const std::string settings = directory_.path() + "/pgbouncer.ini";
  std::ofstream(settings) << "[databases]\n* = host=" << server.value("host")
                          << " port=" << server.value("port") << " user=" << user
                          << "\n[pgbouncer]\npool_mode = transaction\nauth_type = any\n"
                          << "listen_addr =\nlisten_port = 6432\nunix_socket_dir = "
                          << directory_.path() << "\ndefault_pool_size = " << sessions
                          << "\nmax_client_conn = 100\n";
  std::vector<std::string> words = {"env",
                                    "LD_LIBRARY_PATH=" + kFetched + "/usr/lib/x86_64-linux-gnu:" +
                                        kFetched + "/usr/lib/aarch64-linux-gnu",
                                    "setpriv", "--pdeathsig=KILL"};
  if (geteuid() == 0) {
    // It refuses to be root.
    const passwd* postgres = getpwnam("postgres");
    if (postgres == nullptr || chown(directory_.path().c_str(), postgres->pw_uid, 0) != 0)
      throw Error(Retry::never, "as root, a user named postgres is needed");
    words.insert(words.end(), {"--reuid=postgres", "--regid=postgres", "--clear-groups"});
  }
  words.insert(words.end(), {"--", program(), settings});
  ChildOptions options;
  options.stdout_file = options.stderr_file = directory_.path() + "/log";
  process_ = std::make_unique<ChildProcess>(words, options);
  std::string why;
  const bool answers = eventually([&] {
    if (process_->poll()) return true;
    try {
      pg::Session(through_, "test").script("SELECT 1");
      return true;
    } catch (const Error& error) {
      why = error.what();
      return false;
    }
  });
  if (!answers || process_->poll())
    throw Error(Retry::never, "pgbouncer: " + why + "\n" + read_file(options.stderr_file));
}

}  // namespace lockkeeper::test
