# SPDX-License-Identifier: Apache-2.0
noinst_LIBRARIES += layers/store/libstore.a
layers_store_libstore_a_SOURCES = \
	layers/store/compact.h \
	layers/store/description.c \
	layers/store/json.c layers/store/json.h \
	layers/store/manifest.c \
	layers/store/oci.h \
	layers/store/oci_index.c \
	layers/store/oci_item.c layers/store/oci_item.h \
	layers/store/path.c \
	layers/store/ref.c layers/store/ref.h \
	layers/store/store.h \
	layers/store/time.c \
	layers/store/version.h

LIBS_STORE = layers/store/libstore.a $(LIBS_INDEX) $(JANSSON_LIBS) $(LIBS_BASE)

check_PROGRAMS += tests/unit/ref-test
TESTS += tests/unit/ref-test
tests_unit_ref_test_SOURCES = tests/unit/ref-test.c
tests_unit_ref_test_LDADD = tests/lib/libcheck.a $(LIBS_STORE)

check_PROGRAMS += tests/unit/oci-test
TESTS += tests/unit/oci-test
tests_unit_oci_test_SOURCES = tests/unit/oci-test.c
tests_unit_oci_test_LDADD = tests/lib/libcheck.a $(LIBS_STORE)
