#pragma once
// libpg_query's tree as JSON, and small readers for it. Only for src/parse. Pure; any thread.

#include <functional>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "base/error.hpp"
#include "parse/statement.hpp"

namespace lockkeeper::parse {

using Tree = nlohmann::json;

struct RawStatement {
  std::string tag;  ///< node name: AlterTableStmt
  Tree node;        ///< its fields
  std::string text;
  int position = 1;  ///< 1-based character of `text` in the source
};

/// Major version of the grammar in this build: 15.
int grammar_version();

/// Parses text into statements. Throws InputError with the position.
std::vector<RawStatement> parse_tree(const std::string& text, const std::string& source);

/// Splits by the scanner alone, for text that the grammar does not know. Throws InputError.
std::vector<RawStatement> split_only(const std::string& text, const std::string& source);

/// Field `name` of `node`, or a null tree.
const Tree& field(const Tree& node, const char* name);
std::string text_field(const Tree& node, const char* name);
bool true_field(const Tree& node, const char* name);
/// Strings of a list of String nodes.
std::vector<std::string> strings(const Tree& list);
/// schema and name from a list of one to three String nodes.
ObjectRef named(const std::string& kind, const std::vector<std::string>& names, bool exclusive);
/// From a RangeVar's fields.
ObjectRef relation_of(const Tree& range_var, bool exclusive);
/// A type name as SQL wrote it: "character varying(20)" as pg_catalog.varchar(20), "app.status[]".
std::string type_text(const Tree& type_name);

/// Calls `visit(key, node)` for every object in the tree, parents first; false stops the descent.
void walk(const Tree& tree,
          const std::function<bool(const std::string& key, const Tree& node)>& visit,
          const std::string& key = {});

}  // namespace lockkeeper::parse
