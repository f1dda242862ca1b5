# SPDX-License-Identifier: Apache-2.0
noinst_LIBRARIES += layers/blob/libblob.a
layers_blob_libblob_a_SOURCES = \
	layers/blob/build_content.c \
	layers/blob/build_impl.h \
	layers/blob/build_order.c \
	layers/blob/intern.c layers/blob/intern.h \
	layers/blob/record.c layers/blob/record.h \
	layers/blob/table.c layers/blob/table.h \
	layers/blob/table_disk.h \
	layers/blob/table_write.c \
	layers/blob/tree.c layers/blob/tree.h \
	layers/blob/tree_build.c layers/blob/tree_build.h \
	layers/blob/tree_check.c layers/blob/tree_check.h \
	layers/blob/tree_disk.h \
	layers/blob/tree_find.c \
	layers/blob/tree_impl.h \
	layers/blob/tree_write.c \
	layers/blob/xattr.c

# What a program links for this room and those below it.
LIBS_BLOB = layers/blob/libblob.a $(LIBS_CHUNK) $(LIBS_BASE)
