#pragma once
// What a unit would meet if it ran now: mistakes that the catalog shows, for "plan". Pure. Says
// nothing where it cannot know, so that what it says is true as things are.

#include <set>
#include <string>
#include <vector>

#include "catalog/facts.hpp"
#include "parse/parser.hpp"

namespace lockkeeper::plan {

/// Relations that what runs before may make, drop or change.
struct Earlier {
  std::set<std::string> relations;  ///< names without schema
  bool anything = false;            ///< code that nobody can read, or another search_path
  /// Adds what `statement` may have done.
  void add(const parse::Statement& statement);
};

/// Names to be read besides wanted_facts: of indexes that would be made.
std::vector<std::string> names_made(const parse::Unit& unit);

/// One sentence for each: "there is no relation "orders"". Takes what statements of the unit do to
/// the later ones into account, and adds it to `earlier`.
std::vector<std::string> problems(const parse::Unit& unit, const catalog::Facts& facts,
                                  Earlier& earlier);

}  // namespace lockkeeper::plan
