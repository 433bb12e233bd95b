#pragma once
// A child process and its end. The destructor ends it (SIGTERM, then SIGKILL) and reaps it, so that
// nothing that we started outlives us. One thread at a time.

#include <sys/types.h>

#include <chrono>
#include <optional>
#include <string>
#include <vector>

namespace lockkeeper {

struct ChildOptions {
  std::string stdout_file;               ///< empty: inherited
  std::string stderr_file;               ///< empty: inherited
  std::vector<std::string> environment;  ///< NAME=value, beside our own environment
  bool life_line = false;                ///< gives the child our pipe as fd 3: EOF = we are gone
};

class ChildProcess {
 public:
  /// Starts `argv[0]` (looked up in PATH). Throws Error when it cannot be started.
  ChildProcess(const std::vector<std::string>& argv, const ChildOptions& options);
  ~ChildProcess();
  ChildProcess(const ChildProcess&) = delete;
  ChildProcess& operator=(const ChildProcess&) = delete;
  ChildProcess(ChildProcess&& other) noexcept;
  ChildProcess& operator=(ChildProcess&&) = delete;

  [[nodiscard]] pid_t pid() const { return pid_; }
  /// Exit code, or 128 + signal; empty while it runs.
  std::optional<int> poll();
  /// Waits up to `most`; empty when it still runs then.
  std::optional<int> wait(std::chrono::milliseconds most);
  void signal(int number) const;
  /// Closes the life line, if there is one.
  void cut_life_line();

 private:
  pid_t pid_ = -1;
  int life_line_ = -1;
  std::optional<int> result_;
};

/// Runs `argv` to its end. Throws Error with the end of its output when it fails.
std::string run_to_end(const std::vector<std::string>& argv);

}  // namespace lockkeeper
