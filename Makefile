# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later

.DEFAULT_GOAL := help
checks := .venv/bin/python -m tools.checks

help:  ## show this list
	@sed -n 's/^\([a-z -]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | sed 's/^\([^\t]*\)\t/\1                /; s/^\(.\{14\}\) */\1  /'

setup:  ## make .venv and install what development needs
	@tools/setup

test: setup  ## what a change has to pass: every check, and the tests of about an hour
	@$(checks) all

lint types sanity unit oldest core build galaxy docs test-lab test-machine test-cluster test-machines test-molecule: setup
	@$(checks) $(@:test-%=%)

lint:  ## style, documentation, changelog, licences
types:  ## mypy --strict
sanity:  ## ansible-test sanity, on the oldest and the newest ansible-core, or with ACCEL_QAT_CONTROLLERS=all on each supported one
unit:  ## fast tests
oldest:  ## those of managed nodes on the oldest Python of one
core:  ## the core tests on the same ansible-cores, which `make test` leaves to `make test-nightly`
build:  ## the collection's archive, in dist/, that Galaxy takes it, and that it can be installed and used
galaxy:  ## the same archive twice, and all of galaxy-importer, which `make test` leaves to `make test-nightly`
docs:  ## the documentation site, in build/site, and that its links are whole, which `make test` leaves to `make test-nightly`
test-lab:  ## the virtual QAT machine's own tests
test-machine:  ## the engine on the virtual QAT machine
test-cluster:  ## the collection on a node of a real Kubernetes, which is compiled the first time
test-machines:  ## the last three, with as many tests at once as there are cores
test-molecule:  ## the playbooks on the virtual QAT machine by Molecule, which `make test` leaves to `make test-nightly`

release: setup  ## all of a release but its upload, in dist/; before that PREPARE=1.0.0 sets the version and writes the changelog, after it SUMS=1 lists the files again
	@$(checks).release $(if $(PREPARE),prepare $(PREPARE),$(if $(SUMS),sums,build))

image: setup  ## the container image of the device plugin, for amd64 and arm64, in dist/
	@PYTHONPATH="$(CURDIR)/build/tree" .venv/bin/python -m ansible_collections.accel.qat.tools.artifacts.image $(IMAGE)

image-lock: setup  ## have the image made of what Debian's mirror has today
	@$(MAKE) --no-print-directory image IMAGE=--lock

packages: setup  ## deb and rpm of qatctl, qat-node and the device plugin, in dist/; PACKAGES="--python 3.11 --architecture amd64" for some
	@PYTHONPATH="$(CURDIR)/build/tree" .venv/bin/python -m ansible_collections.accel.qat.tools.artifacts.packages $(PACKAGES)

chart: setup  ## the Helm chart of the DaemonSet, in dist/, and the kustomize base that is made of it
	@PYTHONPATH="$(CURDIR)/build/tree" .venv/bin/python -m ansible_collections.accel.qat.tools.artifacts.chart

test-nightly: setup  ## each of the engine's properties on 10 000 nodes, what the kubelets of all releases say, packages on a node, VMs, every ansible-core, what Galaxy says, the site, and Molecule
	@.venv/bin/pytest tests/properties --hypothesis-profile=nightly
	@ACCEL_QAT_KUBELETS=all .venv/bin/pytest tests/kubelets tests/machine/packages.py tests/machine/virtual_machines.py tests/cluster/virtlet.py
	@.venv/bin/pytest tests/cluster/provisioned/daemonset_boot.py
	@ACCEL_QAT_CONTROLLERS=all $(checks) sanity core galaxy docs molecule

test-mutants: setup  ## change the pure files, or MUTANTS="desired.py plan.py:plan_node", in one place at a time: a test fails each time
	@nice .venv/bin/python tools/mutants $(MUTANTS)

test-releases: setup  ## a provisioned node of each release of Kubernetes in RELEASES, an upgrade from each to the next, two nodes, and the gate of an old kubelet
	@ACCEL_QAT_RELEASES="$${RELEASES:-1.20 1.34 1.35 1.36 1.37}" .venv/bin/pytest --verbose tests/cluster/provisioned
	@ACCEL_QAT_RELEASES="$${RELEASES:-1.20 1.34 1.35 1.36 1.37}" .venv/bin/pytest --verbose \
		tests/cluster/provisioned/kinds_of_pods.py tests/cluster/provisioned/example_pods.py tests/cluster/provisioned/claims.py \
		tests/cluster/provisioned/kubelets.py \
		tests/cluster/upgrades.py tests/cluster/several_nodes.py
	@case " $${RELEASES:-1.20} " in *" 1.20 "*) .venv/bin/pytest --verbose tests/cluster/feature_gate.py;; esac

test-pods: setup  ## that no pod is refused over 20 reloads and 6 upgrades of the device plugin, 20 reboots and 5 power cuts, in two hours
	@ACCEL_QAT_ADMISSION_ROUNDS="20 6" ACCEL_QAT_BOOT_ROUNDS="20 5" .venv/bin/pytest --verbose -rP \
		tests/cluster/provisioned/test_admission.py tests/cluster/provisioned/boots.py

test-vms: setup  ## the agent for virtual machines with Debian's libvirt and QEMU, on a virtual QAT machine, and on a node of Kubernetes 1.20
	@.venv/bin/pytest --verbose tests/machine/virtual_machines.py tests/cluster/virtlet.py

demo:  ## from an untouched node of a Kubernetes cluster to a pod that holds a VF, on a virtual QAT machine
	@tools/setup tests/lab/lab image --node
	@PATH="$(CURDIR)/.venv/bin:$$PATH" tools/demo

demo-vm:  ## a virtual machine as Virtlet defines it gets the VF of its pod, on a virtual QAT machine with libvirt and QEMU
	@tools/setup tests/lab/lab image --host
	@PATH="$(CURDIR)/.venv/bin:$$PATH" tests/machine/demo_vm

test-plugin: setup  ## of the fast tests those of the device plugin, against a kubelet that makes trouble
	@.venv/bin/pytest device_plugin/tests

bench: setup  ## compare with the raw writes and with other tools, on the virtual machine
	@PATH="$(CURDIR)/.venv/bin:$$PATH" ANSIBLE_COLLECTIONS_PATH="$(CURDIR)/build/tree" PYTHONPATH="$(CURDIR)/build/tree" \
		.venv/bin/python -m ansible_collections.accel.qat.tests.bench $(BENCH)

bench-fleet: setup  ## what a run costs the controller, and how many bytes go to a node, for BENCH_FLEET="1 10 50 200" nodes
	@PYTHONPATH="$(CURDIR)/build/tree:device_plugin/src:device_plugin/tests" \
		.venv/bin/python -m ansible_collections.accel.qat.tests.bench.fleet $(BENCH_FLEET)

bench-plugin: setup  ## how fast and how small the device plugin and the exporter are, beside the goals
	@PYTHONPATH=device_plugin/src:device_plugin/tests:device_plugin .venv/bin/python -m bench

soak-plugin: setup  ## random trouble for the device plugin, for SOAK_SECONDS (300)
	@SOAK_SECONDS=$${SOAK_SECONDS:-300} .venv/bin/pytest -s device_plugin/tests/test_soak.py

board: setup  ## draw the board for docs/monitoring.md again, of two minutes of a node at work
	@PYTHONPATH="$(CURDIR)/build/tree:device_plugin/src:device_plugin/tests" \
		.venv/bin/python -m ansible_collections.accel.qat.tests.monitoring.draw

format: setup  ## bring the Python code into the project's form
	@.venv/bin/ruff check --fix --select I
	@.venv/bin/ruff format

lock:  ## resolve requirements/*.in again
	@tools/lock

clean:  ## remove what the other targets made here, but not .venv
	@rm -rf build dist .ansible
	@find . -name .venv -prune -o -name __pycache__ -type d -exec rm -rf {} +

.PHONY: test-plugin help setup test lint types sanity unit oldest core build galaxy docs release image image-lock packages chart test-lab test-machine test-cluster test-machines test-molecule test-nightly test-mutants test-releases test-pods test-vms demo demo-vm bench bench-fleet bench-plugin soak-plugin board format lock clean
