#pragma once
// Unit + catalog values to Plan. Pure: no I/O, no clock, so hundreds of cases run without a server.

#include "catalog/facts.hpp"
#include "parse/parser.hpp"
#include "plan/plan.hpp"

namespace lockkeeper::plan {

/// What of the catalog the plan of a unit depends on.
/// `role`: that the change is made with.
catalog::Wanted wanted_facts(const parse::Unit& unit, const std::string& role);

/// Steps of a unit, without locks: all that the executor needs. No facts, so nothing can be
/// missing.
Plan steps_of(const parse::Unit& unit);

/// The same, with the locks of each part, for people. Facts that are missing make the answer the
/// careful one (a rewrite is announced when nothing is known).
Plan explain(const parse::Unit& unit, const catalog::Facts& facts);

}  // namespace lockkeeper::plan
