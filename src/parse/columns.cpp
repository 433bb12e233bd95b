#include "parse/columns.hpp"

#include <algorithm>
#include <deque>

#include "parse/message.hpp"
#include "parse/statement.hpp"

namespace lockkeeper::parse {
namespace {

// The columns that an expression names.
std::vector<PgQuery__ColumnRef*> references(PgQuery__Node* expression) {
  std::vector<PgQuery__ColumnRef*> all;
  if (expression != nullptr)
    visit_all(&expression->base, pg_query__column_ref__descriptor, [&](ProtobufCMessage* at) {
      all.push_back(reinterpret_cast<PgQuery__ColumnRef*>(at));
    });
  return all;
}

PgQuery__Node* last_of(PgQuery__ColumnRef& reference) {
  return reference.fields[reference.n_fields - 1];
}

bool is_string(const PgQuery__Node* node) { return node->node_case == PG_QUERY__NODE__NODE_STRING; }

// Writes new.a for each reference, as long as it lives.
class OfNewRow {
 public:
  explicit OfNewRow(const std::vector<PgQuery__ColumnRef*>& references) {
    pg_query__string__init(&word_);
    word_.sval = name_.data();
    pg_query__node__init(&node_);
    node_.node_case = PG_QUERY__NODE__NODE_STRING;
    node_.string = &word_;
    for (auto* reference : references) {
      before_.push_back({reference, reference->fields, reference->n_fields});
      lists_.push_back({&node_, last_of(*reference)});
      reference->fields = lists_.back().data();
      reference->n_fields = lists_.back().size();
    }
  }
  ~OfNewRow() {
    for (const auto& was : before_) {
      was.reference->fields = was.fields;
      was.reference->n_fields = was.count;
    }
  }
  OfNewRow(const OfNewRow&) = delete;
  OfNewRow& operator=(const OfNewRow&) = delete;

 private:
  struct Was {
    PgQuery__ColumnRef* reference;
    PgQuery__Node** fields;
    std::size_t count;
  };
  std::string name_ = "new";
  PgQuery__String word_;
  PgQuery__Node node_;
  std::vector<Was> before_;
  std::deque<std::vector<PgQuery__Node*>> lists_;
};

ColumnExpression expression_of(PgQuery__Node* tree) {
  ColumnExpression made;
  made.text = expression_sql(tree);
  const auto all = references(tree);
  for (auto* reference : all) {
    if (!is_string(last_of(*reference))) {
      made.whole_row = true;
      continue;
    }
    const std::string name = last_of(*reference)->string->sval;
    if (std::find(made.columns.begin(), made.columns.end(), name) == made.columns.end())
      made.columns.push_back(name);
  }
  if (made.whole_row) return made;
  const OfNewRow row(all);
  made.of_new_row = expression_sql(tree);
  return made;
}

// The words after the column's name in ADD COLUMN.
std::string type_sql(const PgQuery__ColumnDef& column) {
  const Message add("ALTER TABLE t ADD COLUMN c box");
  const auto begin = add.sql().find(" box");
  auto& definition = *add.statement()->alter_table_stmt->cmds[0]->alter_table_cmd->def->column_def;
  auto* own = definition.type_name;
  definition.type_name = column.type_name;
  definition.coll_clause = column.coll_clause;
  const Replaced compression(definition.compression, column.compression);
  const std::string sql = add.sql();
  definition.type_name = own;
  definition.coll_clause = nullptr;
  return sql.size() > begin ? sql.substr(begin + 1) : "";
}

std::string identity_sql(PgQuery__Constraint& identity) {
  const Message add("ALTER TABLE t ALTER COLUMN c ADD GENERATED ALWAYS AS IDENTITY");
  const auto begin = add.sql().find("GENERATED");
  auto*& place = add.statement()->alter_table_stmt->cmds[0]->alter_table_cmd->def->constraint;
  auto* own = place;
  place = &identity;
  const std::string sql = add.sql();
  place = own;
  return sql.size() > begin ? sql.substr(begin) : "";
}

std::string sequence_sql(PgQuery__Constraint& identity) {
  const Message create("CREATE SEQUENCE s");
  const auto begin = create.sql().size();
  auto& statement = *create.statement()->create_seq_stmt;
  statement.options = identity.options;
  statement.n_options = identity.n_options;
  const std::string sql = create.sql();
  statement.options = nullptr;
  statement.n_options = 0;
  return sql.size() > begin ? sql.substr(begin) : "";
}

bool read_identity(PgQuery__Constraint& identity, ColumnDefinition& made) {
  made.identity = identity_sql(identity);
  made.sequence = sequence_sql(identity);
  for (std::size_t i = 0; i < identity.n_options; ++i)
    made.names_sequence = made.names_sequence ||
                          std::string(identity.options[i]->def_elem->defname) == "sequence_name";
  return !made.identity.empty();
}

void rename_references(PgQuery__Node* expression, const Renames& renames,
                       std::deque<Replaced>& replaced) {
  for (auto* reference : references(expression)) {
    auto* last = last_of(*reference);
    if (!is_string(last)) continue;
    const auto found = renames.find(last->string->sval);
    if (found != renames.end()) replaced.emplace_back(last->string->sval, found->second);
  }
}

void rename_strings(PgQuery__Node** nodes, std::size_t count, const Renames& renames,
                    std::deque<Replaced>& replaced) {
  for (std::size_t i = 0; i < count; ++i) {
    if (!is_string(nodes[i])) continue;
    const auto found = renames.find(nodes[i]->string->sval);
    if (found != renames.end()) replaced.emplace_back(nodes[i]->string->sval, found->second);
  }
}

void rename_elements(PgQuery__Node** nodes, std::size_t count, const Renames& renames,
                     std::deque<Replaced>& replaced) {
  for (std::size_t i = 0; i < count; ++i) {
    auto& element = *nodes[i]->index_elem;
    rename_references(element.expr, renames, replaced);
    if (empty(element.name)) continue;
    const auto found = renames.find(element.name);
    if (found != renames.end()) replaced.emplace_back(element.name, found->second);
  }
}

}  // namespace

std::optional<ColumnDefinition> definition_of(const PgQuery__ColumnDef& column) {
  ColumnDefinition made;
  made.type = type_sql(column);
  bool readable = !made.type.empty();
  if (column.raw_default != nullptr) made.value = expression_of(column.raw_default);
  for (std::size_t i = 0; i < column.n_constraints; ++i) {
    auto& constraint = *column.constraints[i]->constraint;
    if (constraint.contype == PG_QUERY__CONSTR_TYPE__CONSTR_NOTNULL) made.not_null = true;
    if (constraint.contype == PG_QUERY__CONSTR_TYPE__CONSTR_DEFAULT)
      made.value = expression_of(constraint.raw_expr);
    if (constraint.contype == PG_QUERY__CONSTR_TYPE__CONSTR_IDENTITY)
      readable = read_identity(constraint, made) && readable;
    // A name of its own would have to be given back.
    if (constraint.contype == PG_QUERY__CONSTR_TYPE__CONSTR_NOTNULL && !empty(constraint.conname))
      readable = false;
  }
  if (made.value && (made.value->text.empty() || made.value->whole_row)) readable = false;
  if (!readable) return std::nullopt;
  return made;
}

std::optional<std::string> index_on(const std::string& text, const Renames& renames,
                                    const std::string& name) {
  const Message message(text);
  auto* statement = message.statement();
  if (statement == nullptr || statement->node_case != PG_QUERY__NODE__NODE_INDEX_STMT)
    return std::nullopt;
  auto& index = *statement->index_stmt;
  {
    const Replaced own(index.idxname, index_name(index.idxname));
    if (!same_statement(text, message.sql())) return std::nullopt;
  }
  std::deque<Replaced> replaced;
  rename_elements(index.index_params, index.n_index_params, renames, replaced);
  rename_elements(index.index_including_params, index.n_index_including_params, renames, replaced);
  rename_references(index.where_clause, renames, replaced);
  replaced.emplace_back(index.idxname, index_name(name));
  index.concurrent = 1;
  return message.sql();
}

std::optional<std::string> constraint_on(const std::string& text, const Renames& renames,
                                         const std::string& name) {
  const Message message(text);
  auto* statement = message.statement();
  if (statement == nullptr || statement->node_case != PG_QUERY__NODE__NODE_ALTER_TABLE_STMT)
    return std::nullopt;
  auto& constraint = *statement->alter_table_stmt->cmds[0]->alter_table_cmd->def->constraint;
  {
    const Replaced own(constraint.conname, constraint_name(constraint.conname));
    if (!same_statement(text, message.sql())) return std::nullopt;
  }
  std::deque<Replaced> replaced;
  rename_references(constraint.raw_expr, renames, replaced);
  rename_strings(constraint.fk_attrs, constraint.n_fk_attrs, renames, replaced);
  rename_strings(constraint.fk_del_set_cols, constraint.n_fk_del_set_cols, renames, replaced);
  replaced.emplace_back(constraint.conname, constraint_name(name));
  return message.sql();
}

}  // namespace lockkeeper::parse
