#pragma once
// What a metric is: a name, a kind and a sentence, all from metrics/metrics.txt. Values.

#include <cstddef>
#include <string_view>

namespace lockkeeper::metrics {

enum class Kind { counter, gauge, histogram };

/// A line of metrics/metrics.txt.
struct Description {
  const char* name;
  Kind kind;
  std::string_view labels;  ///< their names, with blanks between
  const char* sentence;
};

/// Which line; the constants stand in metrics/list.hpp, so that a wrong name does not compile.
struct Metric {
  std::size_t index;
};

}  // namespace lockkeeper::metrics
