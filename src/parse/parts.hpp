#pragma once
// The parts of a statement that matter to the planner: what is done to which table. Pure.

#include <vector>

#include "parse/tree.hpp"

namespace lockkeeper::parse {

/// Subcommands of ALTER TABLE, CREATE INDEX, DROP, …; empty when the statement locks no table of
/// the application.
std::vector<Part> parts_of(const RawStatement& raw);

}  // namespace lockkeeper::parse
