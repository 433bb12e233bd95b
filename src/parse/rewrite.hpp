#pragma once
// Statements taken apart and put together again, on the tree (never on the text), for the online
// steps of the planner: an ALTER TABLE by its commands, with the constraints of a new column on
// their own; an index statement as CONCURRENTLY. Pure: no server. One thread at a time.

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "parse/columns.hpp"
#include "parse/statement.hpp"

namespace lockkeeper::parse {

/// One command of an ALTER TABLE. Column constraints of ADD COLUMN (CHECK, UNIQUE, PRIMARY KEY,
/// REFERENCES) are commands of their own, as if they had been written as table constraints:
/// PostgreSQL does the same with them.
struct AlterPiece {
  Part part;
  std::string constraint;  ///< add/drop constraint: its name; empty: the server names it
  std::vector<std::string>
      columns;  ///< of the constraint; of a CHECK: those that it names, once each
  std::vector<std::string> including;
  std::vector<std::string> referenced;  ///< foreign key: columns of its target, if written
  std::string check;                    ///< CHECK: its expression
  bool nulls_not_distinct = false;
  bool plain_only = false;  ///< options that its online form could not carry
};

/// How a piece is to be written.
struct Written {
  std::size_t piece = 0;
  std::string constraint;  ///< name to give it; empty: as it was
  bool not_valid = false;
  std::string using_index;  ///< UNIQUE or PRIMARY KEY that adopts this index
};

class AlterTable {
 public:
  /// Empty when `text` is no ALTER TABLE, or one that our deparser does not give back as it was.
  static std::optional<AlterTable> of(const std::string& text);
  AlterTable(AlterTable&&) noexcept;
  AlterTable& operator=(AlterTable&&) noexcept;
  ~AlterTable();

  [[nodiscard]] const std::vector<AlterPiece>& pieces() const;
  /// "ONLY app.orders": the table as it was written, quoted where needed.
  [[nodiscard]] const std::string& table() const;
  /// Writes the table, and the target of each foreign key in `targets` (by piece), with their
  /// schemas.
  void qualify(const std::string& schema, const std::map<std::size_t, std::string>& targets);
  /// What a piece says of its column: add column, modify column. Empty when it cannot be given
  /// back.
  [[nodiscard]] std::optional<ColumnDefinition> definition(std::size_t piece) const;
  /// From now on the constraints that are added are written with these names for columns.
  void rename_columns(const Renames& renames);
  /// One ALTER TABLE with these pieces, in this order. A column is added only if it is not there
  /// (an error otherwise, also of IF NOT EXISTS): only then is it ours to take back.
  [[nodiscard]] std::string text(const std::vector<Written>& wanted) const;

 private:
  struct Tree;
  explicit AlterTable(std::unique_ptr<Tree> tree);
  void find_columns_of_checks();
  std::unique_ptr<Tree> tree_;
};

/// CREATE INDEX as CREATE INDEX CONCURRENTLY, with a name: its own, or what `name` gives for its
/// columns (as the server would name them: "expr" for an expression).
struct ConcurrentIndex {
  std::string name;
  std::string text;
};
/// Empty when the statement cannot be given back as it was. `schema`: of the table.
std::optional<ConcurrentIndex> concurrent_index(
    const std::string& text, const std::string& schema,
    const std::function<std::string(const std::vector<std::string>& columns)>& name);

/// One of the indexes that CREATE INDEX on a partitioned table makes.
struct IndexPlace {
  std::string schema, table, name;
  bool leaf = false;  ///< built CONCURRENTLY; otherwise ON ONLY this table, with nothing in it
};
/// Empty when the statement cannot be given back as it was, or says IF NOT EXISTS.
std::optional<std::string> index_at(const std::string& text, const IndexPlace& place);
/// The columns of a CREATE INDEX by the names that the server uses for the name of the index.
std::vector<std::string> index_columns(const std::string& text);

/// What tells one index from another of the same name: "unique btree a,(),b where". Of a CREATE
/// INDEX; empty: it is none. The same words as sql/workers/indexes.sql.
std::string index_signature(const std::string& text);

}  // namespace lockkeeper::parse
