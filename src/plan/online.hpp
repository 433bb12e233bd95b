#pragma once
// What PostgreSQL would do under a lock that stops the application, as small steps that do not:
// indexes built and dropped CONCURRENTLY, constraints added NOT VALID and validated afterwards, NOT
// NULL proved by a check first. Pure. Recipes: PostgreSQL manual, ALTER TABLE (notes), CREATE INDEX
// (building concurrently).

#include <optional>

#include "catalog/facts.hpp"
#include "parse/parser.hpp"
#include "plan/plan.hpp"

namespace lockkeeper::plan {

/// Tables up to this size are changed as the statement says: their locks last some milliseconds,
/// and the steps would take longer than the change.
constexpr std::int64_t kSmallTable = std::int64_t{1} << 20U;

/// Can online steps be better than the statement itself? By the parser's values alone: only then is
/// it worth to read the catalog.
bool may_be_online(const parse::Unit& unit);

/// The steps; empty when the statement is best run as it is (small tables, nothing to gain) or when
/// nothing better is known for it: then `why`, if given, says what keeps a large table from it.
std::optional<Plan> online(const parse::Unit& unit, const catalog::Facts& facts,
                           std::string* why = nullptr);

/// The name that the server would give: table, columns and what it is, with a number if it is in
/// `taken`. (ChooseConstraintName, ChooseIndexName, makeObjectName of PostgreSQL's src/backend.)
std::string chosen_name(const std::string& table, const std::vector<std::string>& columns,
                        const std::string& what, const std::vector<std::string>& taken);

}  // namespace lockkeeper::plan
