#include "workers/gate.hpp"

#include <gtest/gtest.h>

#include <future>
#include <optional>
#include <vector>

namespace lockkeeper::test {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;
using workers::Gate;

TEST(Gate, only_so_many_are_inside_until_one_leaves) {
  Gate gate(2, hours(1));
  std::optional<Gate::Pass> first(std::in_place, gate);
  const Gate::Pass second(gate);
  auto third = std::async(std::launch::async, [&] { const Gate::Pass pass(gate); });
  // Whatever the machine does: it cannot be inside before one has left.
  EXPECT_EQ(third.wait_for(milliseconds(20)), std::future_status::timeout);
  first.reset();
  third.get();
}

TEST(Gate, one_that_is_slow_does_not_count) {
  Gate gate(1, milliseconds(1));
  const Gate::Pass slow(gate);
  const Gate::Pass other(gate);  // Would wait for ever.
  SUCCEED();
}

TEST(Gate, who_holds_claims_does_not_wait) {
  Gate gate(1, hours(1));
  const Gate::Pass first(gate);
  const Gate::Pass second(gate, true);
  EXPECT_TRUE(gate.crowded());
  gate.set_most(2);
  EXPECT_FALSE(gate.crowded());
}

TEST(Gate, one_that_was_slow_makes_it_crowded_when_it_begins_with_others) {
  Gate gate(1, milliseconds(20));
  Gate::Pass slow(gate);
  EXPECT_FALSE(gate.crowded());
  Gate::Pass other(gate);
  // Both may be interrupted for longer than that: then again.
  bool crowded = false;
  for (int i = 0; i < 1000 && !crowded; ++i) {
    slow.renew();
    other.renew();
    crowded = gate.crowded();
  }
  EXPECT_TRUE(crowded);
}

}  // namespace
}  // namespace lockkeeper::test
