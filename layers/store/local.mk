# SPDX-License-Identifier: Apache-2.0
noinst_LIBRARIES += layers/store/libstore.a
layers_store_libstore_a_SOURCES = \
	layers/store/agree.c layers/store/agree.h \
	layers/store/compact.c layers/store/compact.h \
	layers/store/compact_data.c \
	layers/store/compact_file.c layers/store/compact_file.h \
	layers/store/compact_make.c \
	layers/store/data_blobs.c \
	layers/store/description.c \
	layers/store/forget.c \
	layers/store/hold.c layers/store/hold.h \
	layers/store/index_build.c layers/store/index_build.h \
	layers/store/index_cache.c layers/store/index_cache.h \
	layers/store/index_spare.c \
	layers/store/json.c layers/store/json.h \
	layers/store/lease.c layers/store/lease.h \
	layers/store/lock.c layers/store/lock.h \
	layers/store/manifest.c \
	layers/store/oci.h \
	layers/store/oci_adopt.c layers/store/oci_adopt.h \
	layers/store/oci_index.c \
	layers/store/oci_item.c layers/store/oci_item.h \
	layers/store/oci_scan.c layers/store/oci_scan.h \
	layers/store/open.c \
	layers/store/path.c \
	layers/store/publish.c \
	layers/store/ref.c layers/store/ref.h \
	layers/store/resolve.c \
	layers/store/shared.c layers/store/shared.h \
	layers/store/store.c layers/store/store.h layers/store/store_impl.h \
	layers/store/tags.c layers/store/tags.h \
	layers/store/take.c layers/store/take.h \
	layers/store/time.c \
	layers/store/version.c layers/store/version.h

LIBS_STORE = layers/store/libstore.a $(LIBS_INDEX) $(JANSSON_LIBS) $(LIBS_BASE)

check_PROGRAMS += tests/unit/ref-test
TESTS += tests/unit/ref-test
tests_unit_ref_test_SOURCES = tests/unit/ref-test.c
tests_unit_ref_test_LDADD = tests/lib/libcheck.a $(LIBS_STORE)

check_PROGRAMS += tests/unit/oci-test
TESTS += tests/unit/oci-test
tests_unit_oci_test_SOURCES = tests/unit/oci-test.c \
	tests/unit/oci-index-test.c
tests_unit_oci_test_LDADD = tests/lib/libcheck.a $(LIBS_STORE)

check_PROGRAMS += tests/unit/store-test
TESTS += tests/unit/store-test
tests_unit_store_test_SOURCES = tests/unit/store-test.c \
	tests/unit/publish-test.c \
	tests/unit/stored.c tests/unit/stored.h
tests_unit_store_test_LDADD = tests/lib/libcheck.a $(LIBS_STORE)

check_PROGRAMS += tests/unit/open-test
TESTS += tests/unit/open-test
tests_unit_open_test_SOURCES = tests/unit/open-test.c \
	tests/unit/stored.c tests/unit/stored.h
tests_unit_open_test_LDADD = tests/lib/libcheck.a $(LIBS_STORE)

check_PROGRAMS += tests/unit/shared-test
TESTS += tests/unit/shared-test
tests_unit_shared_test_SOURCES = tests/unit/shared-test.c \
	tests/unit/stored.c tests/unit/stored.h
tests_unit_shared_test_LDADD = tests/lib/libcheck.a $(LIBS_STORE)

check_PROGRAMS += tests/unit/gather-test
TESTS += tests/unit/gather-test
tests_unit_gather_test_SOURCES = tests/unit/gather-test.c \
	tests/unit/stored.c tests/unit/stored.h
tests_unit_gather_test_LDADD = tests/lib/libcheck.a $(LIBS_STORE)

check_PROGRAMS += tests/unit/compact-test
TESTS += tests/unit/compact-test
tests_unit_compact_test_SOURCES = tests/unit/compact-test.c \
	tests/unit/stored.c tests/unit/stored.h
tests_unit_compact_test_LDADD = tests/lib/libcheck.a $(LIBS_STORE)

check_PROGRAMS += tests/unit/take-test
TESTS += tests/unit/take-test
tests_unit_take_test_SOURCES = tests/unit/take-test.c \
	tests/unit/stored.c tests/unit/stored.h
tests_unit_take_test_LDADD = tests/lib/libcheck.a $(LIBS_STORE)
