# SPDX-License-Identifier: Apache-2.0
noinst_LIBRARIES += fs/control/libcontrol.a
fs_control_libcontrol_a_SOURCES = \
	fs/control/client.c fs/control/control.h \
	fs/control/info.c \
	fs/control/left.c fs/control/left.h \
	fs/control/line.c fs/control/line.h \
	fs/control/mountinfo.c fs/control/mountinfo.h \
	fs/control/served.c fs/control/served.h \
	fs/control/server.c \
	fs/control/state.c fs/control/state_impl.h

# What a program links for this room and those below it.
LIBS_CONTROL = fs/control/libcontrol.a $(JANSSON_LIBS) $(LIBS_BASE)

check_PROGRAMS += tests/unit/control-test
TESTS += tests/unit/control-test
tests_unit_control_test_SOURCES = tests/unit/control-test.c \
	tests/unit/left-test.c \
	tests/unit/mountinfo-test.c
tests_unit_control_test_LDADD = tests/lib/libcheck.a $(LIBS_CONTROL)
