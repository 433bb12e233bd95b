#include "service/embedded_server.hpp"

#include <pwd.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <thread>

#include "base/error.hpp"

namespace lockkeeper::service {
namespace {

namespace fs = std::filesystem;

// Takes the server and its directory away when the life line (fd 3) ends, however that came.
constexpr const char* kGuard = R"sh(
trap '' INT TERM HUP
directory=$1; shift
touch "$directory/guarded"
read -r _ <&3
exec 3<&-
"$@" -m immediate -w stop >/dev/null 2>&1
rm -rf "$directory"
)sh";

std::string find_binaries(const std::string& wanted) {
  if (!wanted.empty()) return wanted;
  if (const char* set = std::getenv("LOCKKEEPER_PG_BIN"); set != nullptr && *set != '\0')
    return set;
  std::vector<std::pair<int, std::string>> found;
  std::error_code failed;
  for (const auto& entry : fs::directory_iterator("/usr/lib/postgresql", failed))
    if (fs::exists(entry.path() / "bin/postgres"))
      found.emplace_back(std::atoi(entry.path().filename().c_str()), entry.path() / "bin");
  if (found.empty())
    throw Error(
        Retry::never,
        "no PostgreSQL server is installed (looked in /usr/lib/postgresql/*/bin); install the "
        "package postgresql, or set LOCKKEEPER_PG_BIN to the directory of its programs");
  return std::max_element(found.begin(), found.end())->second;
}

}  // namespace

EmbeddedServer::EmbeddedServer(const ServerOptions& options)
    : binaries_(find_binaries(options.binaries)) {
  std::string pattern = (fs::temp_directory_path() / "lockkeeper-pg-XXXXXX").string();
  if (mkdtemp(pattern.data()) == nullptr)
    throw Error(Retry::never,
                "cannot make a directory under " + fs::temp_directory_path().string());
  directory_ = pattern;
  if (geteuid() == 0) {
    const passwd* user = getpwnam("postgres");
    if (user == nullptr || chown(directory_.c_str(), user->pw_uid, user->pw_gid) != 0)
      throw Error(Retry::never, "as root, a user named postgres is needed to run the server");
  }
  ChildOptions guarded;
  guarded.life_line = true;
  auto guard =
      std::vector<std::string>{"setsid", "sh", "-c", kGuard, "lockkeeper-guard", directory_};
  for (auto& word : as_owner({binaries_ + "/pg_ctl", "-D", directory_ + "/data"}))
    guard.push_back(std::move(word));
  guard_ = std::make_unique<ChildProcess>(guard, guarded);
  if (options.follows.empty())
    run_to_end(as_owner({binaries_ + "/initdb", "-D", directory_ + "/data", "-U", "postgres", "-A",
                         "trust", "--no-sync", "-E", "UTF8", "--locale=C.UTF-8"}));
  else
    run_to_end(as_owner({binaries_ + "/pg_basebackup", "-D", directory_ + "/data", "-h",
                         options.follows, "-U", "postgres", "-R", "--no-sync", "-c", "fast"}));
  server_options_ =
      "-c listen_addresses='' -c unix_socket_directories='" + directory_ +
      "' -c unix_socket_permissions=0777 -c max_connections=200 -c max_prepared_transactions=10";
  if (!options.durable) server_options_ += " -c fsync=off -c full_page_writes=off";
  for (const auto& setting : options.settings) server_options_ += " -c " + setting;
  start();
}

EmbeddedServer::~EmbeddedServer() = default;

std::vector<std::string> EmbeddedServer::as_owner(std::vector<std::string> argv) const {
  // npm's servers carry their libraries beside their programs.
  std::vector<std::string> words = {"env", "-C", "/", "LD_LIBRARY_PATH=" + binaries_ + "/../lib"};
  if (geteuid() == 0)
    for (const char* word :
         {"setpriv", "--reuid=postgres", "--regid=postgres", "--init-groups", "--"})
      words.emplace_back(word);
  for (auto& word : argv) words.push_back(std::move(word));
  return words;
}

void EmbeddedServer::start() {
  run_to_end(as_owner({binaries_ + "/pg_ctl", "-D", directory_ + "/data", "-l", directory_ + "/log",
                       "-w", "-t", "60", "-o", server_options_, "start"}));
}

void EmbeddedServer::stop() {
  run_to_end(
      as_owner({binaries_ + "/pg_ctl", "-D", directory_ + "/data", "-m", "fast", "-w", "stop"}));
}

void EmbeddedServer::crash() {
  run_to_end(as_owner(
      {binaries_ + "/pg_ctl", "-D", directory_ + "/data", "-m", "immediate", "-w", "stop"}));
}

void EmbeddedServer::crash_and_restart() {
  crash();
  start();
}

void EmbeddedServer::promote() {
  run_to_end(as_owner({binaries_ + "/pg_ctl", "-D", directory_ + "/data", "-w", "promote"}));
}

pg::Dsn EmbeddedServer::dsn(const std::string& database) const {
  return pg::Dsn("host=" + directory_ + " port=5432 user=postgres").with("dbname", database);
}

}  // namespace lockkeeper::service
