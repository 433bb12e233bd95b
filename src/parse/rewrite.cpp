#include "parse/rewrite.hpp"

#include <algorithm>
#include <deque>
#include <map>

#include "parse/message.hpp"
#include "parse/parts.hpp"
#include "parse/tree.hpp"

namespace lockkeeper::parse {

struct AlterTable::Tree {
  explicit Tree(const std::string& text) : message(text) {
    if (message.statement() == nullptr ||
        message.statement()->node_case != PG_QUERY__NODE__NODE_ALTER_TABLE_STMT)
      return;
    statement = message.statement()->alter_table_stmt;
    commands = statement->cmds;
    command_count = statement->n_cmds;
  }
  ~Tree() {
    replaced.clear();
    if (statement == nullptr) return;
    statement->cmds = commands;
    statement->n_cmds = command_count;
    for (auto& [column, list] : taken_from) {
      column->constraints = list.first;
      column->n_constraints = list.second;
    }
    for (auto* constraint : keyed) {
      constraint->keys = constraint->fk_attrs = nullptr;
      constraint->n_keys = constraint->n_fk_attrs = 0;
    }
  }
  Tree(const Tree&) = delete;
  Tree& operator=(const Tree&) = delete;

  void quote_names();
  void take_apart(const std::vector<Part>& parts);
  bool hoist(PgQuery__ColumnDef& column, const Part& part);
  PgQuery__Node* command_to_add(PgQuery__Constraint* constraint);
  void add(PgQuery__Node* command, Part part);
  void describe(const PgQuery__Constraint& constraint, AlterPiece& piece) const;
  [[nodiscard]] PgQuery__Constraint* constraint_of(std::size_t piece) const;

  Message message;
  PgQuery__AlterTableStmt* statement = nullptr;
  PgQuery__Node** commands = nullptr;
  std::size_t command_count = 0;
  std::vector<AlterPiece> pieces;
  std::vector<PgQuery__Node*> nodes;  ///< by piece
  std::string table;
  std::vector<std::pair<PgQuery__ColumnDef*, std::pair<PgQuery__Node**, std::size_t>>> taken_from;
  std::map<const PgQuery__Constraint*, std::string>
      names;                                ///< of constraints, as they were written
  std::deque<Replaced> replaced;            ///< names of constraints, as the deparser wants them
  std::vector<PgQuery__Constraint*> keyed;  ///< column constraints that were given a column
  // What is ours in the tree, at places that do not move.
  std::deque<std::vector<PgQuery__Node*>> lists;
  std::deque<PgQuery__Node> own_nodes;
  std::deque<PgQuery__AlterTableCmd> own_commands;
  std::deque<PgQuery__String> own_strings;
};

PgQuery__Constraint* AlterTable::Tree::constraint_of(std::size_t piece) const {
  const auto* command = nodes[piece]->alter_table_cmd;
  if (command->def == nullptr || command->def->node_case != PG_QUERY__NODE__NODE_CONSTRAINT)
    return nullptr;
  return command->def->constraint;
}

void AlterTable::Tree::describe(const PgQuery__Constraint& constraint, AlterPiece& piece) const {
  piece.columns = constraint.contype == PG_QUERY__CONSTR_TYPE__CONSTR_FOREIGN
                      ? strings_of(constraint.fk_attrs, constraint.n_fk_attrs)
                      : strings_of(constraint.keys, constraint.n_keys);
  piece.including = strings_of(constraint.including, constraint.n_including);
  piece.referenced = strings_of(constraint.pk_attrs, constraint.n_pk_attrs);
  if (constraint.contype == PG_QUERY__CONSTR_TYPE__CONSTR_CHECK && constraint.raw_expr != nullptr)
    piece.check = expression_sql(constraint.raw_expr);
  piece.nulls_not_distinct = constraint.nulls_not_distinct != 0;
  piece.plain_only =
      constraint.n_options > 0 || !empty(constraint.indexspace) || !empty(constraint.access_method);
}

void AlterTable::Tree::add(PgQuery__Node* command, Part part) {
  AlterPiece piece;
  piece.part = std::move(part);
  nodes.push_back(command);
  pieces.push_back(std::move(piece));
  if (const auto* constraint = constraint_of(nodes.size() - 1); constraint != nullptr) {
    describe(*constraint, pieces.back());
    const auto name = names.find(constraint);
    if (name != names.end()) pieces.back().constraint = name->second;
  }
  if (pieces.back().part.kind == "drop constraint")
    pieces.back().constraint = command->alter_table_cmd->name;
}

// ADD with this constraint, as a command of its own.
PgQuery__Node* AlterTable::Tree::command_to_add(PgQuery__Constraint* constraint) {
  own_nodes.emplace_back();
  pg_query__node__init(&own_nodes.back());
  own_nodes.back().node_case = PG_QUERY__NODE__NODE_CONSTRAINT;
  own_nodes.back().constraint = constraint;
  auto* definition = &own_nodes.back();
  own_commands.emplace_back();
  pg_query__alter_table_cmd__init(&own_commands.back());
  own_commands.back().subtype = PG_QUERY__ALTER_TABLE_TYPE__AT_AddConstraint;
  own_commands.back().behavior = PG_QUERY__DROP_BEHAVIOR__DROP_RESTRICT;
  own_commands.back().def = definition;
  own_nodes.emplace_back();
  pg_query__node__init(&own_nodes.back());
  own_nodes.back().node_case = PG_QUERY__NODE__NODE_ALTER_TABLE_CMD;
  own_nodes.back().alter_table_cmd = &own_commands.back();
  return &own_nodes.back();
}

// Takes CHECK, UNIQUE and REFERENCES off the definition of a column. False: it has something that
// belongs to one of them (DEFERRABLE) and must stay as it is.
bool AlterTable::Tree::hoist(PgQuery__ColumnDef& column, const Part& part) {
  std::vector<PgQuery__Node*> keep;
  std::vector<PgQuery__Constraint*> off;
  for (std::size_t i = 0; i < column.n_constraints; ++i) {
    auto* constraint = column.constraints[i]->constraint;
    switch (constraint->contype) {
      case PG_QUERY__CONSTR_TYPE__CONSTR_CHECK:
      case PG_QUERY__CONSTR_TYPE__CONSTR_UNIQUE:
      case PG_QUERY__CONSTR_TYPE__CONSTR_PRIMARY:
      case PG_QUERY__CONSTR_TYPE__CONSTR_FOREIGN:
        off.push_back(constraint);
        break;
      case PG_QUERY__CONSTR_TYPE__CONSTR_NULL:
      case PG_QUERY__CONSTR_TYPE__CONSTR_NOTNULL:
      case PG_QUERY__CONSTR_TYPE__CONSTR_DEFAULT:
      case PG_QUERY__CONSTR_TYPE__CONSTR_IDENTITY:
      case PG_QUERY__CONSTR_TYPE__CONSTR_GENERATED:
        keep.push_back(column.constraints[i]);
        break;
      default:
        return false;
    }
  }
  if (off.empty()) return true;
  taken_from.push_back({&column, {column.constraints, column.n_constraints}});
  lists.push_back(keep);
  column.constraints = lists.back().data();
  column.n_constraints = keep.size();
  pieces.back().part.unique = pieces.back().part.check = pieces.back().part.foreign_key = false;
  pieces.back().part.others.clear();
  for (auto* constraint : off) {
    own_strings.emplace_back();
    pg_query__string__init(&own_strings.back());
    own_strings.back().sval = column.colname;
    own_nodes.emplace_back();
    pg_query__node__init(&own_nodes.back());
    own_nodes.back().node_case = PG_QUERY__NODE__NODE_STRING;
    own_nodes.back().string = &own_strings.back();
    lists.push_back({&own_nodes.back()});
    keyed.push_back(constraint);
    Part added;
    added.kind = "add constraint";
    added.relation = part.relation;
    if (constraint->contype == PG_QUERY__CONSTR_TYPE__CONSTR_FOREIGN) {
      constraint->fk_attrs = lists.back().data();
      constraint->n_fk_attrs = 1;
      added.constraint_type = "foreign key";
      added.others = part.others;
    } else if (constraint->contype == PG_QUERY__CONSTR_TYPE__CONSTR_UNIQUE ||
               constraint->contype == PG_QUERY__CONSTR_TYPE__CONSTR_PRIMARY) {
      constraint->keys = lists.back().data();
      constraint->n_keys = 1;
      added.constraint_type =
          constraint->contype == PG_QUERY__CONSTR_TYPE__CONSTR_UNIQUE ? "unique" : "primary key";
    } else {
      added.constraint_type = "check";
    }
    add(command_to_add(constraint), std::move(added));
  }
  return true;
}

void AlterTable::Tree::quote_names() {
  const auto quote = [&](PgQuery__Constraint& constraint) {
    if (!empty(constraint.conname)) names[&constraint] = constraint.conname;
    if (!empty(constraint.conname))
      replaced.emplace_back(constraint.conname, constraint_name(constraint.conname));
    if (!empty(constraint.indexname))
      replaced.emplace_back(constraint.indexname, used_index_name(constraint.indexname));
  };
  for (std::size_t i = 0; i < command_count; ++i) {
    auto* definition = commands[i]->alter_table_cmd->def;
    if (definition == nullptr) continue;
    if (definition->node_case == PG_QUERY__NODE__NODE_CONSTRAINT) quote(*definition->constraint);
    if (definition->node_case != PG_QUERY__NODE__NODE_COLUMN_DEF) continue;
    for (std::size_t k = 0; k < definition->column_def->n_constraints; ++k)
      quote(*definition->column_def->constraints[k]->constraint);
  }
}

void AlterTable::Tree::take_apart(const std::vector<Part>& parts) {
  for (std::size_t i = 0; i < command_count; ++i) {
    add(commands[i], parts[i]);
    auto* definition = commands[i]->alter_table_cmd->def;
    if (parts[i].kind != "add column" || definition == nullptr ||
        definition->node_case != PG_QUERY__NODE__NODE_COLUMN_DEF)
      continue;
    const std::size_t before = pieces.size();
    if (!hoist(*definition->column_def, parts[i])) pieces[before - 1].plain_only = true;
  }
}

AlterTable::AlterTable(std::unique_ptr<Tree> tree) : tree_(std::move(tree)) {}
AlterTable::AlterTable(AlterTable&&) noexcept = default;
AlterTable& AlterTable::operator=(AlterTable&&) noexcept = default;
AlterTable::~AlterTable() = default;

std::optional<AlterTable> AlterTable::of(const std::string& text) {
  auto tree = std::make_unique<Tree>(text);
  if (tree->statement == nullptr || tree->statement->relation == nullptr ||
      tree->statement->objtype != PG_QUERY__OBJECT_TYPE__OBJECT_TABLE)
    return std::nullopt;
  tree->quote_names();
  if (!same_statement(text, tree->message.sql())) return std::nullopt;
  auto raw = parse_tree(text, {});
  const auto parts = parts_of(raw.front());
  if (parts.size() != tree->command_count) return std::nullopt;
  tree->take_apart(parts);
  // The words between ALTER TABLE and the first command, as the deparser quotes them.
  const auto& relation = *tree->statement->relation;
  tree->table = (relation.inh != 0 ? "" : "ONLY ") + quoted_name(parts.front().relation);
  AlterTable alter(std::move(tree));
  alter.find_columns_of_checks();
  return alter;
}

// Those that the expression names, as far as a tree without a catalog can tell.
void AlterTable::find_columns_of_checks() {
  for (std::size_t i = 0; i < tree_->pieces.size(); ++i) {
    auto& piece = tree_->pieces[i];
    if (piece.part.kind != "add constraint" || piece.part.constraint_type != "check") continue;
    for (const auto& raw : parse_tree(text({{i, {}, false, {}}}), {}))
      walk(raw.node, [&](const std::string& key, const parse::Tree& at) {
        if (key != "ColumnRef") return true;
        const auto names = strings(field(at, "fields"));
        if (!names.empty() && std::find(piece.columns.begin(), piece.columns.end(), names.back()) ==
                                  piece.columns.end())
          piece.columns.push_back(names.back());
        return true;
      });
  }
}

const std::vector<AlterPiece>& AlterTable::pieces() const { return tree_->pieces; }
const std::string& AlterTable::table() const { return tree_->table; }

namespace {

// Changes a constraint for as long as its text is made.
class Changed {
 public:
  Changed(PgQuery__Constraint* constraint, const Written& how) : constraint_(constraint) {
    if (constraint_ == nullptr) return;
    before_ = *constraint_;
    if (!how.constraint.empty()) {
      name_ = constraint_name(how.constraint);
      constraint_->conname = name_.data();
    }
    if (how.not_valid) {
      constraint_->skip_validation = 1;
      constraint_->initially_valid = 0;
    }
    if (how.using_index.empty()) return;
    index_ = used_index_name(how.using_index);
    constraint_->indexname = index_.data();
    constraint_->n_keys = constraint_->n_including = 0;
    constraint_->nulls_not_distinct = 0;
  }
  ~Changed() {
    if (constraint_ != nullptr) *constraint_ = before_;
  }
  Changed(const Changed&) = delete;
  Changed& operator=(const Changed&) = delete;

 private:
  PgQuery__Constraint* constraint_;
  PgQuery__Constraint before_ = {};
  std::string name_;
  std::string index_;
};

}  // namespace

void AlterTable::qualify(const std::string& schema,
                         const std::map<std::size_t, std::string>& targets) {
  tree_->replaced.emplace_back(tree_->statement->relation->schemaname, schema);
  for (const auto& [piece, target] : targets)
    if (auto* constraint = tree_->constraint_of(piece);
        constraint != nullptr && constraint->pktable != nullptr)
      tree_->replaced.emplace_back(constraint->pktable->schemaname, target);
}

std::optional<ColumnDefinition> AlterTable::definition(std::size_t piece) const {
  const auto* command = tree_->nodes[piece]->alter_table_cmd;
  if (command->def == nullptr || command->def->node_case != PG_QUERY__NODE__NODE_COLUMN_DEF)
    return std::nullopt;
  return definition_of(*command->def->column_def);
}

void AlterTable::rename_columns(const Renames& renames) {
  const auto rename = [&](char*& name) {
    const auto found = renames.find(name);
    if (found != renames.end()) tree_->replaced.emplace_back(name, found->second);
  };
  for (std::size_t i = 0; i < tree_->pieces.size(); ++i) {
    auto* constraint = tree_->constraint_of(i);
    if (constraint == nullptr) continue;
    if (constraint->raw_expr != nullptr)
      visit_all(&constraint->raw_expr->base, pg_query__column_ref__descriptor,
                [&](ProtobufCMessage* at) {
                  auto* reference = reinterpret_cast<PgQuery__ColumnRef*>(at);
                  auto* last = reference->fields[reference->n_fields - 1];
                  if (last->node_case == PG_QUERY__NODE__NODE_STRING) rename(last->string->sval);
                });
    for (std::size_t k = 0; k < constraint->n_fk_attrs; ++k)
      rename(constraint->fk_attrs[k]->string->sval);
  }
}

std::string AlterTable::text(const std::vector<Written>& wanted) const {
  std::vector<PgQuery__Node*> chosen;
  std::deque<Changed> changed;
  for (const auto& how : wanted) {
    chosen.push_back(tree_->nodes[how.piece]);
    if (tree_->pieces[how.piece].part.kind == "add column")
      tree_->nodes[how.piece]->alter_table_cmd->missing_ok = 0;
    changed.emplace_back(tree_->constraint_of(how.piece), how);
  }
  tree_->statement->cmds = chosen.data();
  tree_->statement->n_cmds = chosen.size();
  std::string sql = tree_->message.sql();
  tree_->statement->cmds = tree_->commands;
  tree_->statement->n_cmds = tree_->command_count;
  return sql;
}

namespace {

// FigureColnameInternal of PostgreSQL's src/backend/parser/parse_target.c, for what an index may
// have.
std::string name_of_expression(const PgQuery__Node& node) {
  switch (node.node_case) {
    case PG_QUERY__NODE__NODE_COLUMN_REF:
      return strings_of(node.column_ref->fields, node.column_ref->n_fields).back();
    case PG_QUERY__NODE__NODE_FUNC_CALL:
      return strings_of(node.func_call->funcname, node.func_call->n_funcname).back();
    case PG_QUERY__NODE__NODE_COLLATE_CLAUSE:
      return name_of_expression(*node.collate_clause->arg);
    case PG_QUERY__NODE__NODE_TYPE_CAST: {
      const auto inner = name_of_expression(*node.type_cast->arg);
      const auto& type = *node.type_cast->type_name;
      return inner.empty() ? strings_of(type.names, type.n_names).back() : inner;
    }
    case PG_QUERY__NODE__NODE_COALESCE_EXPR:
      return "coalesce";
    case PG_QUERY__NODE__NODE_MIN_MAX_EXPR:
      return node.min_max_expr->op == PG_QUERY__MIN_MAX_OP__IS_GREATEST ? "greatest" : "least";
    case PG_QUERY__NODE__NODE_CASE_EXPR: {
      const auto* otherwise = node.case_expr->defresult;
      const auto inner = otherwise == nullptr ? "" : name_of_expression(*otherwise);
      return inner.empty() ? "case" : inner;
    }
    case PG_QUERY__NODE__NODE_A_ARRAY_EXPR:
      return "array";
    case PG_QUERY__NODE__NODE_ROW_EXPR:
      return "row";
    case PG_QUERY__NODE__NODE_A_EXPR:
      return node.a_expr->kind == PG_QUERY__A__EXPR__KIND__AEXPR_NULLIF ? "nullif" : "";
    default:
      return {};
  }
}

// ChooseIndexColumnNames of PostgreSQL's src/backend/commands/indexcmds.c.
std::vector<std::string> names_of_columns(const PgQuery__IndexStmt& index) {
  std::vector<std::string> names;
  const auto add = [&](PgQuery__Node** elements, std::size_t count) {
    for (std::size_t i = 0; i < count; ++i) {
      const auto& element = *elements[i]->index_elem;
      std::string base = empty(element.name) ? "" : element.name;
      if (element.expr != nullptr) base = name_of_expression(*element.expr);
      if (base.empty()) base = "expr";
      std::string name = base;
      for (int n = 1; std::find(names.begin(), names.end(), name) != names.end(); ++n)
        name = base + std::to_string(n);
      names.push_back(name);
    }
  };
  add(index.index_params, index.n_index_params);
  add(index.index_including_params, index.n_index_including_params);
  return names;
}

}  // namespace

std::optional<std::string> index_at(const std::string& text, const IndexPlace& place) {
  const Message message(text);
  auto* statement = message.statement();
  if (statement == nullptr || statement->node_case != PG_QUERY__NODE__NODE_INDEX_STMT ||
      statement->index_stmt->relation == nullptr || statement->index_stmt->relation->inh == 0 ||
      statement->index_stmt->if_not_exists != 0)
    return std::nullopt;
  auto& index = *statement->index_stmt;
  {
    const Replaced own(index.idxname, empty(index.idxname) ? "" : index_name(index.idxname));
    if (!same_statement(text, message.sql())) return std::nullopt;
  }
  index.concurrent = place.leaf ? 1 : 0;
  index.relation->inh = place.leaf ? 1 : 0;
  const Replaced schema(index.relation->schemaname, place.schema);
  const Replaced table(index.relation->relname, place.table);
  const Replaced name(index.idxname, index_name(place.name));
  return message.sql();
}

std::vector<std::string> index_columns(const std::string& text) {
  const Message message(text);
  const auto* statement = message.statement();
  if (statement == nullptr || statement->node_case != PG_QUERY__NODE__NODE_INDEX_STMT) return {};
  return names_of_columns(*statement->index_stmt);
}

std::string index_signature(const std::string& text) {
  const Message message(text);
  const auto* statement = message.statement();
  if (statement == nullptr || statement->node_case != PG_QUERY__NODE__NODE_INDEX_STMT) return {};
  const auto& index = *statement->index_stmt;
  std::string signature = index.unique != 0 ? "unique " : "";
  signature += std::string(empty(index.access_method) ? "btree" : index.access_method) + " ";
  for (std::size_t i = 0; i < index.n_index_params; ++i) {
    const auto& element = *index.index_params[i]->index_elem;
    const bool column =
        element.expr == nullptr || element.expr->node_case == PG_QUERY__NODE__NODE_COLUMN_REF;
    signature += i == 0 ? "" : ",";
    signature += !column                   ? "()"
                 : element.expr != nullptr ? name_of_expression(*element.expr)
                                           : element.name;
  }
  return signature + (index.where_clause != nullptr ? " where" : "");
}

std::optional<ConcurrentIndex> concurrent_index(
    const std::string& text, const std::string& schema,
    const std::function<std::string(const std::vector<std::string>& columns)>& name) {
  const Message message(text);
  auto* statement = message.statement();
  if (statement == nullptr || statement->node_case != PG_QUERY__NODE__NODE_INDEX_STMT ||
      statement->index_stmt->relation == nullptr)
    return std::nullopt;
  auto& index = *statement->index_stmt;
  ConcurrentIndex made;
  if (!empty(index.idxname)) made.name = index.idxname;
  const Replaced own(index.idxname, made.name.empty() ? "" : index_name(made.name));
  if (!same_statement(text, message.sql())) return std::nullopt;
  if (made.name.empty()) made.name = name(names_of_columns(index));
  index.concurrent = 1;
  const Replaced place(index.relation->schemaname, schema);
  const Replaced given(index.idxname, index_name(made.name));
  made.text = message.sql();
  return made;
}

}  // namespace lockkeeper::parse
