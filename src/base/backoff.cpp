#include "base/backoff.hpp"

#include <algorithm>
#include <random>

namespace lockkeeper {

std::chrono::milliseconds Backoff::after(int failures, double random) const {
  // 2^20 * 1 ms is already above any sensible limit; the bound keeps the shift defined.
  const int doublings = std::clamp(failures - 1, 0, 20);
  const auto step = std::min(first * (1L << doublings), most);
  const auto half = static_cast<double>(step.count()) / 2.0;
  return std::chrono::milliseconds(static_cast<long>(half + half * random));
}

double random_unit() {
  thread_local std::mt19937_64 generator{std::random_device{}()};
  return std::uniform_real_distribution<double>(0.0, 1.0)(generator);
}

}  // namespace lockkeeper
