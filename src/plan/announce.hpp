#pragma once
// What goes, goes in public: with nodes in the database, a column or a table is announced before it
// is dropped, a schema version at a time (F1 paper, section 4.2; TiDB: public, write only, delete
// only, none). Nodes that are one version apart then never meet a thing that is gone. Pure.
//
//   write only   nodes stop reading the column (a table: stop using it)
//   delete only  they stop writing it too; so it may be NULL from now on
//   none         it is dropped

#include <optional>

#include "catalog/facts.hpp"
#include "parse/parser.hpp"
#include "plan/plan.hpp"

namespace lockkeeper::plan {

/// Does it drop what nodes may be using?
bool destroys(const parse::Unit& unit);

/// `steps` (empty: the statement as it is written) behind the announcements; `steps` as it is when
/// nothing is to be announced.
std::optional<Plan> announced(const parse::Unit& unit, const catalog::Facts& facts,
                              std::optional<Plan> steps);

}  // namespace lockkeeper::plan
