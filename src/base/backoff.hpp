#pragma once
// Exponential back-off with full jitter. Pure: the caller brings the random number.
// Idea: "Exponential Backoff And Jitter" (full jitter), as used by most lock-retry tools.

#include <chrono>

namespace lockkeeper {

struct Backoff {
  std::chrono::milliseconds first{50};
  std::chrono::milliseconds most{5000};

  /// Delay before try number `failures` + 1, between half of and the whole exponential step.
  /// `random` is in [0, 1). Never negative, never above `most`.
  [[nodiscard]] std::chrono::milliseconds after(int failures, double random) const;
};

/// A random number in [0, 1), from a generator of the calling thread.
double random_unit();

}  // namespace lockkeeper
