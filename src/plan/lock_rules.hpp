#pragma once
// Which lock each kind of part takes, and whether rows are read or rewritten under it. Measured on
// PostgreSQL 15 to 18 (locks from pg_locks, rewrites from relfilenode, scans from tuple counts);
// identical on all of them for every form that exists on all. Pure.

#include <vector>

#include "catalog/facts.hpp"
#include "parse/statement.hpp"
#include "plan/plan.hpp"

namespace lockkeeper::plan {

/// The locks of one part: its own table first, then the others (foreign key target, parent, …).
std::vector<TableLock> locks_of(const parse::Part& part, const catalog::Facts& facts);

/// Does ALTER COLUMN … TYPE from `old` to `wanted` (type text with modifiers) rewrite the table?
bool type_change_rewrites(const catalog::Column& old, const std::string& wanted);

}  // namespace lockkeeper::plan
