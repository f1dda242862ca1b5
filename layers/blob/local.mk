# SPDX-License-Identifier: Apache-2.0
noinst_LIBRARIES += layers/blob/libblob.a
layers_blob_libblob_a_SOURCES = \
	layers/blob/table.c layers/blob/table.h \
	layers/blob/table_disk.h \
	layers/blob/table_write.c

# What a program links for this room and those below it.
LIBS_BLOB = layers/blob/libblob.a $(LIBS_CHUNK) $(LIBS_BASE)
