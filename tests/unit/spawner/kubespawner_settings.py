"""KubeSpawner's settings, each with a value that shows in what it makes, or with the place where it shows instead."""

from __future__ import annotations

from typing import Any

#: For those that show only together with others.
BESIDE: dict[str, dict[str, Any]] = {
    "extra_resource_guarantees": {"extra_resource_limits": {"nvidia.com/gpu": "2"}},
    "secret_mount_path": {"internal_ssl": True},
    "secret_name_template": {"internal_ssl": True},
    "user_namespace_annotations": {"enable_user_namespaces": True},
    "user_namespace_labels": {"enable_user_namespaces": True},
    "user_namespace_template": {"enable_user_namespaces": True},
}


def _term(value: str) -> dict[str, Any]:
    return {"matchExpressions": [{"key": "pool", "operator": "In", "values": [value]}]}


def _near(value: str) -> dict[str, Any]:
    return {"labelSelector": {"matchLabels": {"app": value}}, "topologyKey": "kubernetes.io/hostname"}


def _weighed(name: str, content: dict[str, Any]) -> dict[str, Any]:
    return {"weight": 3, name: content}


async def _later(spawner: Any) -> int:
    return 2000 + len(spawner.user.name)


def _contexts(spawner: Any) -> dict[str, Any]:
    return {"seLinuxOptions": {"level": f"s0:c{len(spawner.user.name)}"}}


#: Several values where the type allows several.
SHOWN: dict[str, list[Any]] = {
    "allow_privilege_escalation": [True],
    "args": [["--debug", "--port=8888"]],
    "automount_service_account_token": [True],
    "cmd": [["start-singleuser.sh"], None],
    "common_labels": [{"app": "other", "part": "notebooks"}],
    "component_label": ["notebook"],
    "container_security_context": [{"readOnlyRootFilesystem": True}, _contexts],
    "cpu_guarantee": [1.5],
    "cpu_limit": [2],
    "debug": [True],
    "default_url": ["/tree"],
    "disable_user_config": [True],
    "dns_name_template": ["{name}.{namespace}.svc.example.org"],
    "enable_user_namespaces": [True],
    "environment": [
        {
            "WHO": "{unescaped_username} in {namespace}",
            "BRACES": "{{username}}",
            "CALLED": lambda spawner: spawner.user.name,
            "SECRET": {"valueFrom": {"secretKeyRef": {"name": "of-{username}", "key": "k"}}},
        }
    ],
    "extra_annotations": [{"of": "{unescaped_username}"}],
    "extra_container_config": [{"envFrom": [{"configMapRef": {"name": "site"}}], "tty": True}],
    "extra_containers": [
        [{"name": "of-{username}", "image": "logs:1"}],
        {"20-b": {"name": "b", "image": "b:1"}, "10-a": {"name": "a", "image": "a:1"}},
    ],
    "extra_labels": [{"team": "vision", "who": "{username}"}],
    "extra_pod_config": [{"dnsPolicy": "None", "priority": 3, "subdomain": "of-{username}"}],
    "extra_resource_guarantees": [{"nvidia.com/gpu": "2"}],
    "extra_resource_limits": [{"nvidia.com/gpu": "2", "rdma/ib": "1"}],
    "fs_gid": [3000, _later],
    "get_pod_url": [lambda spawner, pod: f"http://{spawner.user.name}.example.org"],
    "gid": [3000, _later],
    "hub_connect_ip": ["10.1.2.3"],
    "hub_connect_port": [18081],
    "image": ["lab:2"],
    "image_pull_policy": ["Always"],
    "image_pull_secrets": ["one", ["one", "two"], [{"name": "three"}]],
    "init_containers": [
        [{"name": "stage", "image": "busybox", "command": ["stage", "--", "{unescaped_username}-", "{pod_name}"]}],
        {"2": {"name": "second", "image": "x"}, "1": {"name": "first", "image": "x"}},
    ],
    "lifecycle_hooks": [{"postStart": {"exec": {"command": ["true"]}}}],
    "mem_guarantee": ["1G"],
    "mem_limit": ["2G"],
    "namespace": ["elsewhere"],
    "node_affinity_preferred": [
        [_weighed("preference", _term("a"))],
        {"2": _weighed("preference", _term("b")), "1": _weighed("preference", _term("a"))},
    ],
    "node_affinity_required": [[_term("a")], {"2": _term("b"), "1": _term("a")}],
    "node_selector": [{"pool": "a100"}],
    "notebook_dir": ["/work"],
    "pod_affinity_preferred": [[_weighed("podAffinityTerm", _near("a"))]],
    "pod_affinity_required": [[_near("a")], {"2": _near("b"), "1": _near("a")}],
    "pod_anti_affinity_preferred": [[_weighed("podAffinityTerm", _near("a"))]],
    "pod_anti_affinity_required": [[_near("a")]],
    "pod_connect_ip": ["jupyter-{username}--{servername}.example.org"],
    "pod_name_template": ["lab-{user_server}"],
    "pod_security_context": [{"sysctls": [{"name": "a", "value": "b"}]}, _contexts],
    "port": [9999],
    "priority_class_name": ["low"],
    "privileged": [True],
    "pvc_name_template": ["data-{user_server}"],
    "scheduler_name": ["other-scheduler"],
    "secret_mount_path": ["/certificates/"],
    "secret_name_template": ["certificates-{user_server}"],
    "service_account": ["of-{username}"],
    "slug_scheme": ["escape"],
    "storage_access_modes": [["ReadWriteMany"]],
    "storage_capacity": ["5Gi"],
    "storage_class": ["fast"],
    "storage_extra_annotations": [{"of": "{unescaped_username}"}],
    "storage_extra_labels": [{"of": "{username}"}],
    "storage_selector": [{"matchLabels": {"of": "{username}"}}],
    "supplemental_gids": [[3001, 3002], lambda spawner: [4000]],
    "tolerations": [
        [{"key": "gpu", "operator": "Exists", "effect": "NoSchedule"}],
        {"2": {"key": "b", "operator": "Exists"}, "1": {"key": "a", "operator": "Exists"}},
    ],
    "uid": [3000, _later],
    "user_namespace_annotations": [{"of": "{unescaped_username}"}],
    "user_namespace_labels": [{"of": "{username}"}],
    "user_namespace_template": ["place-of-{username}"],
    "volume_mounts": [
        [{"name": "data", "mountPath": "/data", "subPath": "{username}"}],
        {"2": {"name": "b", "mountPath": "/b"}, "1": {"name": "a", "mountPath": "/a"}},
    ],
    "volumes": [
        [{"name": "data", "persistentVolumeClaim": {"claimName": "{pvc_name}"}}],
        {"2": {"name": "b", "emptyDir": {}}, "1": {"name": "a", "emptyDir": {}}},
    ],
    "working_dir": ["/home/{username}"],
}

#: What shows elsewhere than in what is made, and where that is tried; or why it does nothing here.
ELSEWHERE = {
    "additional_profile_form_template_paths": "in the form: test_kubespawner_s_settings.py",
    "after_pod_created_hook": "tests/cluster/test_kubespawner_s_settings.py",
    "delete_grace_period": "tests/cluster/test_kubespawner_s_settings.py",
    "delete_pvc": "tests/cluster/test_kubespawner_s_settings.py",
    "delete_stopped_pods": "tests/cluster/test_kubespawner_s_settings.py",
    "events_enabled": "tests/cluster/test_kubespawner_s_settings.py",
    "handle_legacy_names": "tests/cluster/test_kubespawner_s_settings.py",
    "k8s_api_host": "the connection of the whole process, which KubeSpawner makes",
    "k8s_api_request_retry_timeout": "test_kubernetes.py",
    "k8s_api_request_timeout": "test_kubernetes.py",
    "k8s_api_ssl_ca_cert": "the connection of the whole process, which KubeSpawner makes",
    "k8s_api_threadpool_workers": "does nothing in KubeSpawner any more",
    "k8s_api_verify_ssl": "the connection of the whole process, which KubeSpawner makes",
    "modify_pod_hook": "test_kubernetes.py and tests/cluster/test_kubespawner_s_settings.py",
    "profile_form_template": "in the form: test_kubespawner_s_settings.py",
    "profile_list": "test_kubespawner_s_settings.py and test_profiles.py",
    "remember_pvc_name": "tests/cluster/test_kubespawner_s_settings.py",
    "services_enabled": "tests/cluster/test_kubespawner_s_settings.py",
    "slow_spawn_message": "does nothing here: the waiting page says what is waited for",
    "slow_spawn_message_frequency": "does nothing here: the waiting page says what is waited for",
    "slow_spawn_message_threshold": "does nothing here: the waiting page says what is waited for",
    "storage_pvc_ensure": "tests/cluster/test_kubespawner_s_settings.py",
}
