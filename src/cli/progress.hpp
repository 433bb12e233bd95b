#pragma once
// Live lines of jobs: redrawn in place on a terminal, one plain line per change in a pipe.

#include <map>
#include <string>
#include <vector>

#include "cli/output.hpp"

namespace lockkeeper::cli {

class Progress {
 public:
  /// `quiet`: nothing is printed (--json).
  explicit Progress(bool quiet) : quiet_(quiet), live_(on_terminal()) {}
  void show(const std::vector<Json>& jobs);
  /// Leaves the last picture; errors of jobs that did not end well below it.
  void finish(const std::vector<Json>& jobs) const;

 private:
  void redraw(const std::vector<Json>& jobs);
  void print_changes(const std::vector<Json>& jobs);
  bool quiet_;
  bool live_;
  std::size_t drawn_ = 0;
  std::map<long, std::string> seen_;
};

/// Whose lock a job waits for: "pid 123"; empty: nobody's, as far as it is known.
std::string in_the_way(const Json& job);

/// "62.5 %, 8400 rows/s, 12 s left"; empty: nothing is known.
std::string progress_words(const Json& job);
/// "running", "queueing, waits for 12", "queueing, retry 3 after 55P03".
std::string state_words(const Json& job);

}  // namespace lockkeeper::cli
