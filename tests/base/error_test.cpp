#include "base/error.hpp"

#include <gtest/gtest.h>

#include "base/backoff.hpp"

namespace lockkeeper {
namespace {

TEST(Error, place_counts_characters_not_bytes) {
  const Place place = place_of("select 1;\nsélect x", 13);
  EXPECT_EQ(place.line, 2);
  EXPECT_EQ(place.column, 3);
  EXPECT_EQ(place.text, "sélect x");
}

TEST(Error, pretty_puts_the_caret_under_the_place) {
  Report report;
  report.message = "bad";
  report.position = 15;
  const InputError error(report, "ok;\n\télan tabel", "m.sql");
  EXPECT_EQ(error.pretty(), "m.sql:2:11: error: bad\n  \télan tabel\n  \t         ^");
}

TEST(Error, place_past_the_end_is_the_end) {
  EXPECT_EQ(place_of("abc", 99).column, 4);
  EXPECT_EQ(place_of("", 1).line, 1);
}

TEST(Backoff, grows_to_its_limit_and_never_above) {
  const Backoff backoff{std::chrono::milliseconds(50), std::chrono::milliseconds(3000)};
  EXPECT_EQ(backoff.after(1, 0.0).count(), 25);
  EXPECT_EQ(backoff.after(1, 0.999).count(), 49);
  EXPECT_EQ(backoff.after(3, 0.0).count(), 100);
  EXPECT_LE(backoff.after(500, 0.999).count(), 3000);
  EXPECT_GE(backoff.after(0, 0.0).count(), 0);
}

TEST(Backoff, random_stays_in_its_range) {
  for (int i = 0; i < 1000; ++i) {
    const double random = random_unit();
    EXPECT_GE(random, 0.0);
    EXPECT_LT(random, 1.0);
  }
}

}  // namespace
}  // namespace lockkeeper
