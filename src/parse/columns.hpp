#pragma once
// What statements say of columns, and the same statements for another column: a column that is
// filled beside reads and writes has a name of its own until it is complete. Trees, never text.
// Pure: no server. One thread at a time.

#include <map>
#include <optional>
#include <string>
#include <vector>

struct PgQuery__ColumnDef;  // NOLINT(bugprone-reserved-identifier): its name in libpg_query

namespace lockkeeper::parse {

/// An expression over the columns of one table.
struct ColumnExpression {
  std::string text;                  ///< as it was written
  std::string of_new_row;            ///< for a row trigger: new.a where it says a
  std::vector<std::string> columns;  ///< that it names, once each
  bool whole_row = false;            ///< it may name the row itself (t.*)
};

/// A new column, or one that gets another type: all but its name.
struct ColumnDefinition {
  std::string type;                       ///< with COLLATE, if that was written
  std::optional<ColumnExpression> value;  ///< DEFAULT of a new one, USING of another type
  bool not_null = false;
  std::string identity;         ///< ALTER COLUMN … ADD this: "GENERATED ALWAYS AS IDENTITY (…)"
  std::string sequence;         ///< its options, for CREATE SEQUENCE
  bool names_sequence = false;  ///< the options say the name of the sequence
};

/// Of a column's definition; empty when it cannot be given back as it was written.
std::optional<ColumnDefinition> definition_of(const PgQuery__ColumnDef& column);

/// Old and new names of columns.
using Renames = std::map<std::string, std::string>;

/// A CREATE INDEX as one on other columns, built CONCURRENTLY, with the name `name`. Empty when it
/// cannot be given back.
std::optional<std::string> index_on(const std::string& text, const Renames& renames,
                                    const std::string& name);

/// ALTER TABLE … ADD CONSTRAINT (one of it) as one on other columns. Empty when it cannot be given
/// back.
std::optional<std::string> constraint_on(const std::string& text, const Renames& renames,
                                         const std::string& name);

}  // namespace lockkeeper::parse
