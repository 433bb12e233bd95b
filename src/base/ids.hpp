#pragma once
// Ids as types of their own, so that a job id can never be passed where a worker id is meant.
// Values come from sequences of the lockkeeper schema; they are never made up in C++.

#include <compare>
#include <cstdint>
#include <string>

namespace lockkeeper {

template <typename Tag>
struct Id {
  std::int64_t value = 0;
  auto operator<=>(const Id&) const = default;  // NOLINT(modernize-use-nullptr): not ours
  [[nodiscard]] std::string str() const { return std::to_string(value); }
};

using JobId = Id<struct JobTag>;
using BatchId = Id<struct BatchTag>;
/// One worker session (one backend). Stored in ddl_job.claimed_by and used as advisory lock key.
using WorkerId = Id<struct WorkerTag>;
/// Fencing token of a claim: grows with every claim of a job (design, promise 2).
using Epoch = Id<struct EpochTag>;

}  // namespace lockkeeper
