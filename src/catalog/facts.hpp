#pragma once
// What the planner wants to know of the catalog, as plain values. Read by catalog/reader, given to
// the planner, which does no I/O itself. Copyable, any thread.

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace lockkeeper::catalog {

struct Column {
  std::string name;
  std::string type;  ///< base type name as format_type shows it without modifier: "numeric"
  int type_modifier = -1;
  bool not_null = false;
  bool composite = false;  ///< IS NOT NULL looks into its fields
};

struct Table {
  std::string oid;
  std::string schema;
  std::string name;
  std::string kind;            ///< pg_class.relkind
  std::int64_t bytes = 0;      ///< with its indexes and TOAST
  bool of_constraint = false;  ///< an index that belongs to a constraint
  bool has_children = false;   ///< partitions, or tables that inherit from it
  double rows = 0;             ///< estimate; -1 = never analysed
  std::vector<Column> columns;
  /// Columns that a valid CHECK proves to be not null (SET NOT NULL then needs no scan, since 12).
  std::vector<std::string> proven_not_null;
  std::vector<std::string> referenced_by;  ///< tables with a foreign key to this one
  /// Names in its schema that begin as the server would begin the name of a new one of this table,
  /// and those of all its constraints.
  std::vector<std::string> taken_relations;
  std::vector<std::string> taken_constraints;
};

/// What to read.
struct Wanted {
  std::vector<std::string> tables;     ///< quoted names: "app"."orders" or "orders"; indexes too
  std::vector<std::string> functions;  ///< unqualified
  std::vector<std::string> types;
};

struct Facts {
  int server_version = 0;                          ///< 150018
  std::map<std::string, Table> tables;             ///< by name as written in the statement
  std::map<std::string, bool> volatile_function;   ///< by unqualified name
  std::map<std::string, bool> constrained_domain;  ///< by type name as written
};

}  // namespace lockkeeper::catalog
