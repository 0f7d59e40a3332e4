/* SPDX-License-Identifier: Apache-2.0 */
#include "flagd/catalogue.h"

#include <stdlib.h>
#include <string.h>

#include "flagd/doc.h"

#define ROW_NODES 512 /* of a document that is scanned without the heap */

/* Rows of one table, sorted. */
struct table {
	struct row **rows;
	size_t count, capacity;
};

struct catalogue {
	struct table tables[STORE_TABLE_COUNT];
};

/* ---- Rows ---- */

/* Reads the document of @row into nodes of its own. */
static enum status row_parse(struct row *row, size_t length, struct error *err)
{
	enum status status = json_parse(row->text, length, &doc_limits, &row->doc, err);
	if (status != STATUS_OK && status != STATUS_NO_MEMORY) {
		error_wrap(err, "A stored document is not JSON");
		return STATUS_CORRUPT;
	}
	return status;
}

/* Room for the texts of @from and for nodes of its document, all in one piece: there are tens of thousands. */
static struct row *row_alloc(const struct store_row *from, const struct json_doc *doc)
{
	size_t nodes_size = doc->count * sizeof(struct json_node);
	size_t key_size = strlen(from->key) + 1;
	size_t environment_size = from->environment != NULL ? strlen(from->environment) + 1 : 0;
	struct row *row =
	        calloc(1, sizeof(*row) + nodes_size + key_size + environment_size + from->doc_length + 1);
	if (row == NULL) {
		return NULL;
	}
	struct json_node *nodes = (struct json_node *)(row + 1);
	char *key = (char *)(nodes + doc->count);
	char *environment = key + key_size;
	char *text = environment + environment_size;
	memcpy(key, from->key, key_size);
	if (environment_size > 0) {
		memcpy(environment, from->environment, environment_size);
		row->environment = environment;
	}
	memcpy(text, from->doc, from->doc_length);
	row->key = key;
	row->text = text;
	if (doc->count > 0) {
		memcpy(nodes, doc->nodes, nodes_size);
		row->doc = (struct json_doc){
			.text = text, .length = from->doc_length, .nodes = nodes, .count = doc->count
		};
	}
	return row;
}

enum status row_new(const struct store_row *from, struct row **ret, struct error *err)
{
	struct json_node nodes[ROW_NODES];
	struct json_doc doc = { 0 };
	/* What has more nodes, or is wrong, is looked at again. */
	bool is_read = json_scan(from->doc, from->doc_length, &doc_limits, nodes, ROW_NODES, &doc, NULL) ==
	               STATUS_OK;
	struct row *row = row_alloc(from, &doc);
	if (row == NULL) {
		return error_fail(err, STATUS_NO_MEMORY, "Out of memory while keeping a row");
	}
	row->refs = 1;
	row->table = from->table;
	row->version = from->version;
	row->is_archived = from->is_archived;
	row->created_ms = from->created_ms;
	row->updated_ms = from->updated_ms;
	if (from->secret_hash != NULL) {
		memcpy(row->secret_hash, from->secret_hash, sizeof(row->secret_hash));
	}
	enum status status = is_read ? STATUS_OK : row_parse(row, from->doc_length, err);
	if (status != STATUS_OK) {
		row_unref(row);
		return status;
	}
	*ret = row;
	return STATUS_OK;
}

struct row *row_ref(struct row *row)
{
	row->refs++;
	return row;
}

void row_unref(struct row *row)
{
	if (row == NULL || --row->refs > 0) {
		return;
	}
	json_doc_deinit(&row->doc);
	free(row);
}

/* ---- Catalogue ---- */

struct catalogue *catalogue_new(void)
{
	return calloc(1, sizeof(struct catalogue));
}

void catalogue_free(struct catalogue *catalogue)
{
	if (catalogue == NULL) {
		return;
	}
	for (size_t t = 0; t < STORE_TABLE_COUNT; t++) {
		for (size_t i = 0; i < catalogue->tables[t].count; i++) {
			row_unref(catalogue->tables[t].rows[i]);
		}
		free(catalogue->tables[t].rows);
	}
	free(catalogue);
}

/* A token's environment is an attribute, not a part of its key. */
static bool has_environment_key(enum store_table table)
{
	return table == STORE_SETTING;
}

static int row_compare(const struct row *row, const char *key, const char *environment)
{
	int order = strcmp(row->key, key);
	if (order != 0 || !has_environment_key(row->table)) {
		return order;
	}
	return strcmp(row->environment, environment);
}

/* Index of the first row that is not before (key, environment). */
static size_t lower_bound(const struct table *table, const char *key, const char *environment)
{
	size_t low = 0;
	size_t high = table->count;
	if (high > 0 && row_compare(table->rows[high - 1], key, environment) < 0) {
		return high; /* loading goes in order */
	}
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		if (row_compare(table->rows[middle], key, environment) < 0) {
			low = middle + 1;
		} else {
			high = middle;
		}
	}
	return low;
}

static bool is_at(const struct table *table, size_t index, const char *key, const char *environment)
{
	return index < table->count && row_compare(table->rows[index], key, environment) == 0;
}

struct row *catalogue_find(const struct catalogue *catalogue, enum store_table table, const char *key,
                           const char *environment)
{
	const struct table *rows = &catalogue->tables[table];
	size_t index = lower_bound(rows, key, environment);
	return is_at(rows, index, key, environment) ? rows->rows[index] : NULL;
}

enum status catalogue_put(struct catalogue *catalogue, struct row *row, struct row **ret_old,
                          struct error *err)
{
	struct table *table = &catalogue->tables[row->table];
	size_t index = lower_bound(table, row->key, row->environment);
	if (is_at(table, index, row->key, row->environment)) {
		*ret_old = table->rows[index];
		table->rows[index] = row;
		return STATUS_OK;
	}
	if (table->count == table->capacity) {
		size_t capacity = table->capacity == 0 ? 16 : table->capacity * 2;
		struct row **rows = reallocarray(table->rows, capacity, sizeof(*rows));
		if (rows == NULL) {
			return error_fail(err, STATUS_NO_MEMORY, "Out of memory while keeping a row");
		}
		table->rows = rows;
		table->capacity = capacity;
	}
	memmove(&table->rows[index + 1], &table->rows[index], (table->count - index) * sizeof(struct row *));
	table->rows[index] = row;
	table->count++;
	*ret_old = NULL;
	return STATUS_OK;
}

void catalogue_restore(struct catalogue *catalogue, enum store_table table, const char *key,
                       const char *environment, struct row *old)
{
	struct table *rows = &catalogue->tables[table];
	size_t index = lower_bound(rows, key, environment);
	if (!is_at(rows, index, key, environment)) {
		return;
	}
	struct row *current = rows->rows[index];
	if (old != NULL) {
		rows->rows[index] = old;
	} else {
		rows->count--;
		memmove(&rows->rows[index], &rows->rows[index + 1],
		        (rows->count - index) * sizeof(struct row *));
	}
	row_unref(current);
}

size_t catalogue_count(const struct catalogue *catalogue, enum store_table table)
{
	return catalogue->tables[table].count;
}

struct row *catalogue_at(const struct catalogue *catalogue, enum store_table table, size_t index)
{
	return catalogue->tables[table].rows[index];
}

size_t catalogue_after(const struct catalogue *catalogue, enum store_table table, const char *key)
{
	if (key == NULL || key[0] == '\0') {
		return 0;
	}
	const struct table *rows = &catalogue->tables[table];
	/* Environments are lower-case letters, digits and hyphens: DEL comes after all of them. */
	size_t index = lower_bound(rows, key, "\x7f");
	while (index < rows->count && strcmp(rows->rows[index]->key, key) == 0) {
		index++;
	}
	return index;
}
