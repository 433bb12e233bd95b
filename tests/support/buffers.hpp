#pragma once
// How many pages a query reads: what must not grow with the queue can be tested without a clock.

#include <nlohmann/json.hpp>
#include <string>

#include "pg/session.hpp"

namespace lockkeeper::test {

/// Shared buffers that `query` touches, in the functions that it calls too. It is run.
inline int pages_read(pg::Session& session, const std::string& query) {
  const auto rows = session.script("EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) " + query);
  const auto top = nlohmann::json::parse(rows.front().text("QUERY PLAN")).front()["Plan"];
  return top["Shared Hit Blocks"].get<int>() + top["Shared Read Blocks"].get<int>();
}

}  // namespace lockkeeper::test
