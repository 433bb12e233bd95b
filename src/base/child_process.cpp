#include "base/child_process.hpp"

#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <map>

#include "base/error.hpp"

namespace lockkeeper {
namespace {

constexpr int kLifeLineFd = 3;

std::vector<std::string> merged_environment(const std::vector<std::string>& extra) {
  std::map<std::string, std::string> merged;
  const auto add = [&merged](const std::string& entry) {
    const auto equals = entry.find('=');
    merged[entry.substr(0, equals)] = entry;
  };
  for (char** entry = environ; *entry != nullptr; ++entry) add(*entry);
  for (const auto& entry : extra) add(entry);
  std::vector<std::string> result;
  for (auto& [name, entry] : merged) result.push_back(std::move(entry));
  return result;
}

std::vector<char*> pointers(std::vector<std::string>& strings) {
  std::vector<char*> result;
  for (auto& string : strings) result.push_back(string.data());
  result.push_back(nullptr);
  return result;
}

class FileActions {
 public:
  FileActions() { posix_spawn_file_actions_init(&actions_); }
  ~FileActions() { posix_spawn_file_actions_destroy(&actions_); }
  FileActions(const FileActions&) = delete;
  FileActions& operator=(const FileActions&) = delete;
  void redirect(int fd, const std::string& file) {
    if (!file.empty())
      posix_spawn_file_actions_addopen(&actions_, fd, file.c_str(), O_WRONLY | O_CREAT | O_APPEND,
                                       0644);
  }
  void duplicate(int from, int to) { posix_spawn_file_actions_adddup2(&actions_, from, to); }
  const posix_spawn_file_actions_t* get() const { return &actions_; }

 private:
  posix_spawn_file_actions_t actions_{};
};

// Waits for the end of a process without polling (pidfd_open, Linux 5.3).
bool wait_for_end(pid_t pid, std::chrono::milliseconds most) {
  const int fd = static_cast<int>(syscall(SYS_pidfd_open, pid, 0));
  if (fd < 0) return true;  // Already reaped or gone: waitpid tells.
  pollfd waiting{fd, POLLIN, 0};
  int ready = 0;
  do {
    ready = ::poll(&waiting, 1, static_cast<int>(most.count()));
  } while (ready < 0 && errno == EINTR);
  close(fd);
  return ready > 0;
}

}  // namespace

ChildProcess::ChildProcess(const std::vector<std::string>& argv, const ChildOptions& options) {
  std::array<int, 2> line{-1, -1};
  if (options.life_line && pipe2(line.data(), O_CLOEXEC) != 0)
    throw Error(Retry::never, std::string("cannot make a pipe: ") + std::strerror(errno));
  FileActions actions;
  actions.redirect(STDOUT_FILENO, options.stdout_file);
  actions.redirect(STDERR_FILENO, options.stderr_file);
  int reading = line[0];
  if (options.life_line) {
    // dup2 onto itself would keep close-on-exec, so the end must not be number 3 already.
    if (reading == kLifeLineFd) {
      reading = fcntl(reading, F_DUPFD_CLOEXEC, kLifeLineFd + 1);
      if (reading < 0)
        throw Error(Retry::never, std::string("cannot duplicate a pipe: ") + std::strerror(errno));
      close(line[0]);
    }
    actions.duplicate(reading, kLifeLineFd);
  }
  auto environment = merged_environment(options.environment);
  auto words = argv;
  const int failed = posix_spawnp(&pid_, argv[0].c_str(), actions.get(), nullptr,
                                  pointers(words).data(), pointers(environment).data());
  if (reading >= 0) close(reading);
  life_line_ = line[1];
  if (failed != 0) {
    cut_life_line();
    pid_ = -1;
    throw Error(Retry::never, "cannot start " + argv[0] + ": " + std::strerror(failed));
  }
}

ChildProcess::ChildProcess(ChildProcess&& other) noexcept
    : pid_(other.pid_), life_line_(other.life_line_), result_(other.result_) {
  other.pid_ = -1;
  other.life_line_ = -1;
}

ChildProcess::~ChildProcess() {
  if (pid_ > 0 && !poll()) {
    // With a life line the child ends itself, in order, when the line is cut.
    if (life_line_ >= 0)
      cut_life_line();
    else
      signal(SIGTERM);
    signal(SIGCONT);  // A stopped process would not hear it.
    if (!wait(std::chrono::seconds(20))) {
      signal(SIGKILL);
      wait(std::chrono::seconds(5));
    }
  }
  cut_life_line();
}

void ChildProcess::cut_life_line() {
  if (life_line_ >= 0) close(life_line_);
  life_line_ = -1;
}

std::optional<int> ChildProcess::poll() {
  if (result_ || pid_ <= 0) return result_;
  int status = 0;
  if (waitpid(pid_, &status, WNOHANG) == pid_)
    result_ = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  return result_;
}

std::optional<int> ChildProcess::wait(std::chrono::milliseconds most) {
  if (poll()) return result_;
  wait_for_end(pid_, most);
  return poll();
}

void ChildProcess::signal(int number) const {
  if (pid_ > 0 && !result_) kill(pid_, number);
}

std::string run_to_end(const std::vector<std::string>& argv) {
  std::string output_file = "/tmp/lockkeeper-output-XXXXXX";
  const int fd = mkstemp(output_file.data());
  if (fd < 0) throw Error(Retry::never, "cannot make a temporary file");
  ChildOptions options;
  options.stdout_file = options.stderr_file = output_file;
  std::optional<int> result;
  std::string failure;
  try {
    ChildProcess child(argv, options);
    result = child.wait(std::chrono::minutes(5));
  } catch (const Error& error) {
    failure = error.what();
  }
  std::string output;
  std::array<char, 4096> buffer{};
  for (ssize_t n = 0; (n = read(fd, buffer.data(), buffer.size())) > 0;)
    output.append(buffer.data(), static_cast<std::size_t>(n));
  close(fd);
  unlink(output_file.c_str());
  if (!failure.empty()) throw Error(Retry::never, failure);
  if (result != 0) throw Error(Retry::never, argv[0] + " failed: " + output);
  return output;
}

}  // namespace lockkeeper
