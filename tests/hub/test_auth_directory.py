"""Who gets in, told by a real directory: the authenticator alone, without a Hub around it."""

from __future__ import annotations

import asyncio
import signal
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from gpuqueue_spawner.auth import GPUQueueLDAPAuthenticator, LoginRefused
from gpuqueue_spawner.cli.directory import BASE, entry, group, hashed, person
from tests.services.program import until
from tests.services.slapd import GROUPS, PEOPLE, Slapd, slapd

NOT_A_LOGIN = None  #: JupyterHub answers it with "Invalid username or password"


def member(name: str, number: int, **more: Any) -> str:
    return person(name, f"{name}'s password", uidNumber=number, gidNumber=number, **more)


ENTRIES = [
    member("alice", 10001),
    member("bob", 10002),
    member("carl", 10003),
    member("dana", 10004),
    member("outsider", 10005),
    member("jean-luc", 10006),
    member("jürgen", 10007, cn="Jürgen Groß"),
    member("erin", 10008),
    person("emil", "geheim 🔑 ß", uidNumber=10011, gidNumber=10011),
    person("nonumber", "nonumber's password"),
    member("zero", 0),
    member("negative", -1),
    member("system", 999),
    member("largest", 4294967295),
    person("rootgroup", "rootgroup's password", uidNumber=10009, gidNumber=0),
    entry(
        f"uid=twins,{PEOPLE}",
        {  # the standard schema allows one uidNumber; other attributes that sites take the number from allow several
            "objectClass": ["inetOrgPerson"],
            "uid": "twins",
            "cn": "twins",
            "sn": "twins",
            "userPassword": hashed("twins's password"),
            "employeeType": ["10010", "10011"],
        },
    ),
    group(
        "DGX-Users",
        [
            *("alice", "bob", "carl", "dana", "erin", "emil", "jean-luc", "jürgen"),
            *("nonumber", "zero", "negative", "system", "largest", "rootgroup", "twins"),
        ],
    ),
    group("DGX-Admins", ["dana", "outsider"]),
    group("Vision, and more", ["alice"]),
    entry(
        f"cn=numbers,{GROUPS}",
        {"objectClass": "posixGroup", "cn": "numbers", "gidNumber": 20001, "memberUid": ["alice", "bob"]},
    ),
    entry(f"cn=disk,{GROUPS}", {"objectClass": "posixGroup", "cn": "disk", "gidNumber": 6, "memberUid": ["alice"]}),
]


@pytest.fixture(scope="module")
def running_directory() -> Iterator[Slapd]:
    with slapd(*ENTRIES) as it:
        yield it


@pytest.fixture
def ldap(running_directory: Slapd) -> Iterator[Slapd]:
    """The directory, running again after whatever a test did to it."""
    yield running_directory
    running_directory.program.signal(signal.SIGCONT)
    if not running_directory.program.alive:
        running_directory.start()
    until(lambda: not _threads("directory"), within=10, what="nobody asks the directory any more")


def authenticator(ldap: Slapd, **settings: Any) -> GPUQueueLDAPAuthenticator:
    defaults = {
        "server_address": "127.0.0.1",
        "server_port": ldap.port,
        "tls_strategy": "insecure",
        "bind_dn_template": [f"uid={{username}},{PEOPLE}"],
        "allowed_groups": [f"cn=DGX-Users,{GROUPS}"],
        "admin_groups": [f"cn=DGX-Admins,{GROUPS}"],
        "group_search_base": GROUPS,
        "require_uid": True,
    }
    return GPUQueueLDAPAuthenticator(**{**defaults, **settings})


async def login(auth: GPUQueueLDAPAuthenticator, name: str, password: str | None = None) -> Any:
    """What the Hub is told of one login."""
    return await auth.get_authenticated_user(
        None, {"username": name, "password": f"{name}'s password" if password is None else password}
    )


async def refusal(auth: GPUQueueLDAPAuthenticator, name: str) -> LoginRefused:
    """Why somebody with the right password is not let in."""
    with pytest.raises(LoginRefused) as caught:
        await login(auth, name)
    return caught.value


# ---- who is who ------------------------------------------------------------------------------------------------------


async def test_a_member_comes_with_numbers_and_groups(ldap: Slapd) -> None:
    """uid and gid come along as integers, directory groups become Hub groups, the system's group numbers stay out."""
    found = await login(authenticator(ldap), "alice")

    assert found["name"] == "alice"
    assert found["admin"] is False
    assert found["groups"] == ["DGX-Users", "Vision, and more", "disk", "numbers"]
    assert {key: found["auth_state"][key] for key in ("uid", "gid", "gids")} == {
        "uid": 10001,
        "gid": 10001,
        "gids": [20001],
    }


async def test_a_member_of_the_admin_group_becomes_admin(ldap: Slapd) -> None:
    """The admin group decides who is an admin of the Hub."""
    found = await login(authenticator(ldap), "dana")

    assert found["admin"] is True
    assert found["groups"] == ["DGX-Admins", "DGX-Users"]


async def test_without_an_admin_group_the_hub_s_own_list_decides(ldap: Slapd) -> None:
    """Unset leaves the decision to admin_users, and the flag of others as it is."""
    unlisted = await login(authenticator(ldap, admin_groups=[]), "dana")
    listed = await login(authenticator(ldap, admin_groups=[], admin_users={"dana"}), "dana")

    assert unlisted["admin"] is None
    assert listed["admin"] is True


async def test_admin_users_stay_admins_beside_an_admin_group(ldap: Slapd) -> None:
    """The group adds admins; it takes nothing from those whom the site named."""
    found = await login(authenticator(ldap, admin_users={"alice"}), "alice")

    assert found["admin"] is True


async def test_only_the_configured_groups_without_a_search_base(ldap: Slapd) -> None:
    """Unset, no other group of the directory reaches the Hub."""
    found = await login(authenticator(ldap, group_search_base=""), "dana")

    assert found["groups"] == ["DGX-Admins", "DGX-Users"]


@pytest.mark.parametrize("typed", ["ALICE", " alice ", "\uff41lice", "Alice"])
async def test_the_same_person_is_one_user_however_the_name_is_typed(ldap: Slapd, typed: str) -> None:
    """The directory compares names without case, blanks and width; the Hub gets one name for all of them."""
    found = await login(authenticator(ldap), typed, "alice's password")

    assert found["name"] == "alice"


async def test_a_name_of_other_letters_is_taken_where_the_site_allows_it(ldap: Slapd) -> None:
    """UTF-8 in names, passwords and entries."""
    found = await login(authenticator(ldap, valid_username_regex=r"[\w.]+"), "jürgen")

    assert (found["name"], found["auth_state"]["uid"]) == ("jürgen", 10007)


async def test_a_password_of_any_letters_is_taken(ldap: Slapd) -> None:
    """Emoji too, which the library's preparation of passwords does not know."""
    assert await login(authenticator(ldap), "emil", "geheim 🔑 ß")


# ---- who does not get in ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "password"),
    [
        ("alice", "wrong"),
        ("alice", ""),
        ("alice", " "),
        ("alice", "\0"),
        ("alice", "alice's password\0"),
        ("alice", "x" * 100_000),
        ("nobody", "alice's password"),
        ("", "alice's password"),
        ("alice*", "alice's password"),
        ("al)(uid=*", "alice's password"),
        ("*)(objectClass=*", "alice's password"),
        (f"alice,{PEOPLE}", "alice's password"),
        ("alice\n", "wrong"),
        ("alice\nbob", "alice's password"),
        ("alice\0", "alice's password"),
        ("a" * 256, "alice's password"),
    ],
)
async def test_wrong_names_and_passwords_are_all_answered_alike(ldap: Slapd, name: str, password: str) -> None:
    """Wrong or empty password, unknown name, injection: nobody learns which it was."""
    assert await login(authenticator(ldap), name, password) is NOT_A_LOGIN


@pytest.mark.parametrize("name", ["alice*", "al)(uid=*", f"alice,{PEOPLE}", "alice+cn=alice", "alice\\2c"])
async def test_injection_finds_nobody_where_the_site_allows_any_name(ldap: Slapd, name: str) -> None:
    """Escaping holds by itself, without the pattern for names."""
    assert await login(authenticator(ldap, valid_username_regex=".*"), name, "alice's password") is NOT_A_LOGIN


async def test_somebody_outside_the_group_is_told_so(ldap: Slapd) -> None:
    """Only members of the configured group get in; being an admin does not help."""
    refused = await refusal(authenticator(ldap), "outsider")

    assert refused.status_code == 403
    assert "not in a group that may use this JupyterHub" in refused.jupyterhub_message


async def test_without_a_configured_group_nobody_gets_in(ldap: Slapd) -> None:
    """Deny by default."""
    refused = await refusal(authenticator(ldap, allowed_groups=None), "alice")

    assert refused.status_code == 403


@pytest.mark.parametrize(
    "settings", [{"allowed_users": {"outsider"}}, {"allow_existing_users": True}, {"allow_all": True}]
)
async def test_no_list_of_names_lets_in_who_is_outside_the_group(ldap: Slapd, settings: dict[str, Any]) -> None:
    """Someone who left the group stays out, though the Hub knows the name."""
    assert (await refusal(authenticator(ldap, **settings), "outsider")).status_code == 403


async def test_a_site_may_let_everybody_in(ldap: Slapd) -> None:
    """`allow_all` without a group is the site's word."""
    found = await login(authenticator(ldap, allowed_groups=None, allow_all=True), "outsider")

    assert found["name"] == "outsider"


async def test_a_name_that_the_hub_does_not_take_is_told_so(ldap: Slapd) -> None:
    """With named servers on, names have no "-": their owner learns why the right password is not enough."""
    auth = authenticator(ldap, username_pattern=r"^[a-z][a-z0-9_.]*\Z")

    assert "characters" in (await refusal(auth, "jean-luc")).jupyterhub_message


async def test_who_leaves_the_group_cannot_log_in_again(ldap: Slapd) -> None:
    """And can, once back in it."""
    auth = authenticator(ldap)
    assert await login(auth, "carl")

    ldap.leave("carl", "DGX-Users")
    left = await refusal(auth, "carl")
    ldap.join("carl", "DGX-Users")

    assert left.status_code == 403
    assert await login(auth, "carl")


async def test_the_admin_flag_is_given_and_taken_away(ldap: Slapd) -> None:
    """Each login tells the Hub anew."""
    auth = authenticator(ldap)
    flags = []
    for change in (None, ldap.join, ldap.leave):
        if change is not None:
            change("erin", "DGX-Admins")
        flags.append((await login(auth, "erin"))["admin"])

    assert flags == [False, True, False]


# ---- numbers ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("nonumber", "has no numeric user (uidNumber)"),
        ("zero", "has the number 0, which notebooks may not run under (uidNumber)"),
        ("negative", "has the number -1, which notebooks may not run under (uidNumber)"),
        ("system", "has the number 999, which notebooks may not run under (uidNumber)"),
        ("largest", "has the number 4294967295, which notebooks may not run under (uidNumber)"),
        ("rootgroup", "has the number 0, which notebooks may not run under (gidNumber)"),
    ],
)
async def test_an_entry_whose_number_is_of_no_use_is_refused_in_words(ldap: Slapd, name: str, words: str) -> None:
    """At the login, where its owner reads it, rather than at the first notebook."""
    refused = await refusal(authenticator(ldap), name)

    assert refused.status_code == 403
    assert words in refused.jupyterhub_message


@pytest.mark.parametrize("require_uid", [True, False])
async def test_several_numbers_are_refused(ldap: Slapd, require_uid: bool) -> None:
    """None of two is the right one."""
    auth = authenticator(ldap, uid_attribute="employeeType", require_uid=require_uid)

    assert "has 2 numbers" in (await refusal(auth, "twins")).jupyterhub_message


async def test_text_is_no_number(ldap: Slapd) -> None:
    """An attribute of another kind, by a mistake in the configuration."""
    assert "number that is none" in (await refusal(authenticator(ldap, uid_attribute="sn"), "alice")).jupyterhub_message


async def test_an_entry_without_number_gets_in_where_the_site_does_not_need_one(ldap: Slapd) -> None:
    """Its notebooks get a number from the spawner's own range."""
    found = await login(authenticator(ldap, require_uid=False), "nonumber")

    assert "uid" not in found["auth_state"]


async def test_the_smallest_number_is_the_site_s(ldap: Slapd) -> None:
    """min_uid."""
    assert (await login(authenticator(ldap, min_uid=500), "system"))["auth_state"]["uid"] == 999


# ---- a directory in trouble ------------------------------------------------------------------------------------------


async def test_a_directory_that_hangs_delays_logins_only(ldap: Slapd) -> None:
    """The login is refused with words within its limit, and everything else goes on meanwhile."""
    auth = authenticator(ldap, answer_timeout=60, login_timeout=2.0)
    gaps, last = [], time.monotonic()

    async def tick() -> None:
        nonlocal last
        while True:
            await asyncio.sleep(0.02)
            gaps.append(time.monotonic() - last)
            last = time.monotonic()

    ticking = asyncio.create_task(tick())
    ldap.program.signal(signal.SIGSTOP)
    began = time.monotonic()
    refused = await refusal(auth, "alice")
    took = time.monotonic() - began
    ticking.cancel()

    assert refused.status_code == 503
    assert "did not answer within 2 seconds" in refused.jupyterhub_message
    assert 1.9 < took < 4
    assert max(gaps) < 1, "something held up the event loop"


async def test_each_question_has_a_limit_of_its_own(ldap: Slapd) -> None:
    """A hanging directory frees the thread that asked it."""
    auth = authenticator(ldap, answer_timeout=1, login_timeout=30.0)
    ldap.program.signal(signal.SIGSTOP)

    began = time.monotonic()
    refused = await refusal(auth, "alice")

    assert refused.status_code == 503
    assert time.monotonic() - began < 5


async def test_many_logins_at_a_hanging_directory_use_few_threads(ldap: Slapd) -> None:
    """Those who come later wait, are refused in time too, and everybody gets in once the directory is back."""
    auth = authenticator(ldap, answer_timeout=3, login_timeout=1.0, concurrent_logins=2)
    ldap.program.signal(signal.SIGSTOP)

    refused = await asyncio.gather(*(refusal(auth, name) for name in ["alice", "bob", "carl", "dana"] * 5))
    threads = _threads("directory")
    ldap.program.signal(signal.SIGCONT)
    until(lambda: not _threads("directory"), within=10, what="the threads end")
    await asyncio.sleep(0)  # their ends reach the event loop
    back = [await login(auth, name) for name in ("alice", "bob", "carl")]

    assert {each.status_code for each in refused} == {503}
    assert threads <= 2
    assert [each["name"] for each in back] == ["alice", "bob", "carl"]


def _threads(name: str) -> int:
    return sum(thread.name == name for thread in threading.enumerate())


async def test_a_directory_that_is_down_is_told_so(ldap: Slapd) -> None:
    """Nobody is told that the password is wrong when nobody asked."""
    ldap.program.kill()

    refused = await refusal(authenticator(ldap), "alice")

    assert refused.status_code == 503
    assert "cannot be reached" in refused.jupyterhub_message


async def test_a_directory_that_refuses_service_is_no_wrong_password(ldap: Slapd) -> None:
    """Here: TLS is asked for, and the directory has none."""
    refused = await refusal(authenticator(ldap, tls_strategy="before_bind"), "alice")

    assert refused.status_code == 503


@pytest.mark.parametrize(
    ("trait", "value"), [("min_uid", 0), ("answer_timeout", 0), ("login_timeout", 0.0), ("concurrent_logins", 0)]
)
def test_a_setting_that_cannot_work_is_refused_at_start(ldap: Slapd, trait: str, value: float) -> None:
    """Naming the setting, the value and what is allowed."""
    with pytest.raises(Exception, match=rf"{trait} is {value}; allowed is 1 or more"):
        authenticator(ldap, **{trait: value})


def test_the_base_of_the_test_directory() -> None:
    """The people are where the authenticator is told to look."""
    assert PEOPLE.endswith(BASE)
