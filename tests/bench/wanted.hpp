#pragma once
// Which parts of a benchmark are to run, from its command line: those that are named, or all of
// them; --full. A part that there is not ends the program with a message.

#include <CLI/CLI.hpp>
#include <algorithm>
#include <string>
#include <vector>

#include "base/log.hpp"

namespace lockkeeper::bench {

class Wanted {
 public:
  Wanted(int argc, char** argv, const std::vector<std::string>& parts) {
    log::configure(log::Level::off, log::Format::text);
    CLI::App app("prints ratios against baselines of the same run");
    app.add_flag("--full", full_, "more of it, for longer");
    app.add_option("parts", named_, "parts to run; none: all")->check(CLI::IsMember(parts));
    try {
      app.parse(argc, argv);
    } catch (const CLI::ParseError& error) {
      std::exit(app.exit(error));
    }
  }
  [[nodiscard]] bool full() const { return full_; }
  [[nodiscard]] bool operator()(const char* part) const {
    return named_.empty() || std::find(named_.begin(), named_.end(), part) != named_.end();
  }

 private:
  bool full_ = false;
  std::vector<std::string> named_;
};

}  // namespace lockkeeper::bench
