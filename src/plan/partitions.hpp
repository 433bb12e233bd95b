#pragma once
// Indexes of partitioned tables: PostgreSQL builds them all in one transaction that stops writes to
// every partition. Here an empty index is made for the parent, one CONCURRENTLY for each partition,
// and those are attached: with the last one the parent's is valid. (PostgreSQL manual, CREATE
// INDEX, ON ONLY, and ALTER INDEX, ATTACH PARTITION.) Pure.

#include <optional>
#include <string>

#include "catalog/facts.hpp"
#include "parse/parser.hpp"
#include "plan/plan.hpp"

namespace lockkeeper::plan {

/// The steps of a CREATE INDEX on partitioned `table`; empty: it is run as it is written, and `why`
/// (if given) says the reason.
std::optional<Plan> partitioned_index(const parse::Unit& unit, const catalog::Table& table,
                                      std::string* why);

}  // namespace lockkeeper::plan
