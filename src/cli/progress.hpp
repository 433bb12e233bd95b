#pragma once
// Live lines of jobs: redrawn in place on a terminal, one plain line per change in a pipe.

#include <map>
#include <string>
#include <vector>

#include "base/error.hpp"
#include "base/ids.hpp"
#include "cli/output.hpp"

namespace lockkeeper::cli {

class Progress {
 public:
  /// text: a live line for each job on a terminal, a line for each change in a pipe. json: an
  /// object a line for each change. none: nothing.
  enum class Style { text, json, none };
  explicit Progress(Style style) : style_(style), live_(style == Style::text && on_terminal()) {}
  void show(const std::vector<Json>& jobs);
  /// Leaves the last picture; errors of jobs that did not end well below it.
  void finish(const std::vector<Json>& jobs) const;
  /// The connection was lost, and is sought anew.
  void interrupted();

 private:
  void redraw(const std::vector<Json>& jobs);
  void print_changes(const std::vector<Json>& jobs);
  Style style_;
  bool live_;
  std::size_t drawn_ = 0;
  std::map<long, std::string> seen_;
};

/// While it lives, Ctrl-C says that the jobs go on, and how to follow or cancel them. One at a
/// time.
class TellOnInterrupt final {
 public:
  explicit TellOnInterrupt(const std::vector<JobId>& jobs);
  ~TellOnInterrupt();
  TellOnInterrupt(const TellOnInterrupt&) = delete;
  TellOnInterrupt& operator=(const TellOnInterrupt&) = delete;
};

/// Whose lock a job waits for: "pid 123"; empty: nobody's, as far as it is known.
std::string in_the_way(const Json& job);

/// "62.5 %, 8400 rows/s, 12 s left"; empty: nothing is known.
std::string progress_words(const Json& job);
/// "running", "queueing, waits for 12", "queueing, retry 3 after 55P03".
std::string state_words(const Json& job);

}  // namespace lockkeeper::cli
