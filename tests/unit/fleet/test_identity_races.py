"""Many at once, and any order: a decision has one outcome, and memory is never behind the ledger."""

import base64
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given, settings
from hypothesis import strategies as st

from hwledger.errors import ConflictError, FullError, HwledgerError
from hwledger.fleet.enrolment import Nonces, approve, ban, enrol, renew, renew_with_proof, retire, revoke
from hwledger.fleet.identities import check_member
from hwledger.fleet.identity_tables import RefusedError, identities_of, identity_of
from hwledger.fleet.signing import key_hash, make_request, new_key
from hwledger.fleet.views import projections
from hwledger.fleet.wire.enrolment import ProofRequest, proof_text
from hwledger.ledger.sqlite import SqliteStore
from support.fleets import Host, Site, site

PAGE = "/a/v1/hello"
MANY = 24


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Site]:
    """Return a fleet whose ledger is a file."""
    with SqliteStore(tmp_path / "ledger.db", projections=projections()) as store:
        yield site(tmp_path, store)


def _at_once(jobs: list[Callable[[], Any]]) -> tuple[list[Any], list[HwledgerError]]:
    answers: list[Any] = []
    errors: list[HwledgerError] = []
    barrier = threading.Barrier(len(jobs))

    def run(job: Callable[[], Any]) -> None:
        barrier.wait()
        try:
            answers.append(job())
        except HwledgerError as error:
            errors.append(error)

    threads = [threading.Thread(target=run, args=(job,)) for job in jobs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return answers, errors


@pytest.mark.requirement("FR-FLEET-ENROL")
def test_one_request_many_times_at_once(here: Site) -> None:
    """A machine that repeats itself is one host, with one certificate."""
    asked = here.request(here.token(), new_key())
    answers, errors = _at_once([lambda: enrol(here.fleet, here.authorities, asked)] * MANY)
    assert len({(one.host, one.certificate) for one in answers}) == 1
    assert (len(answers), errors) == (MANY, [])
    assert here.kinds().count("host.enrolled") == 1


@pytest.mark.requirement("FR-FLEET-RENEW")
def test_many_renewals_at_once(here: Site) -> None:
    """Of many keys one is signed; the others are a conflict."""
    host = here.host()
    csrs = [make_request(new_key()) for _ in range(MANY)]
    jobs = [partial(renew, here.fleet, here.authorities, host.member, csr) for csr in csrs]
    answers, errors = _at_once(jobs)
    assert len(answers) == 1
    assert all(isinstance(one, ConflictError) for one in errors)
    assert here.kinds().count("host.cert_issued") == 1


@pytest.mark.requirement("FR-FLEET-RENEW")
def test_the_first_use_many_times_at_once(here: Site) -> None:
    """It is on record once, and everybody who shows the next certificate is let in."""
    host, key = here.host(), new_key()
    answer = renew(here.fleet, here.authorities, host.member, make_request(key))
    following = Host(host.id, key, answer.certificate)
    found, errors = _at_once([lambda: check_member(here.fleet, following.der, PAGE)] * MANY)
    assert (found, errors) == ([following.member] * MANY, [])
    assert here.kinds().count("host.cert_renewed") == 1


@pytest.mark.requirement("FR-FLEET-RENEW")
def test_an_old_certificate_many_times_at_once(here: Site) -> None:
    """One alarm, one ban; nobody is let in."""
    host, key = here.host(), new_key()
    answer = renew(here.fleet, here.authorities, host.member, make_request(key))
    check_member(here.fleet, Host(host.id, key, answer.certificate).der, PAGE)
    found, errors = _at_once([lambda: check_member(here.fleet, host.der, PAGE)] * MANY)
    assert (found, len(errors)) == ([], MANY)
    assert (here.kinds().count("host.cert_reused"), here.kinds().count("host.banned")) == (1, 1)


@pytest.mark.requirement("FR-FLEET-RENEW")
def test_one_proof_many_times_at_once(here: Site) -> None:
    """It counts once, and all answers are one certificate."""
    host, key, nonces = here.host(), new_key(), Nonces(here.fleet)
    here.clock.pass_hours(25)
    nonce = nonces.give(host.id)
    text = proof_text(host.id, nonce, key_hash(key.public_key()))
    signature = base64.urlsafe_b64encode(host.key.sign(text, ec.ECDSA(hashes.SHA256()))).decode()
    asked = ProofRequest(host.id, nonce, signature, make_request(key))
    answers, errors = _at_once(
        [lambda: renew_with_proof(here.fleet, here.authorities, nonces, asked)] * MANY
    )  # fmt: skip
    assert (len({one.certificate for one in answers}), len(answers), errors) == (1, MANY, [])
    assert here.kinds().count("host.cert_renewed") == 1


@pytest.mark.requirement("FR-FLEET-MEMBER")
def test_a_ban_among_requests(here: Site) -> None:
    """Whoever asks after it returned is refused, however many ask meanwhile."""
    host, banned = here.host(), threading.Event()
    late: list[bool] = []

    def ask() -> None:
        for _ in range(300):
            after = banned.is_set()
            try:
                check_member(here.fleet, host.der, PAGE)
            except RefusedError:
                continue
            late.append(after)

    def end() -> None:
        ban(here.fleet, host.id, reason="stolen", actor="user:anna")
        banned.set()

    _at_once([ask] * 8 + [end])
    assert True not in late


STEPS = ("renew", "use", "go_back", "revoke", "ban", "retire", "approve", "wait", "join", "fail")


@pytest.mark.requirement("FR-FLEET-MEMBER")
@settings(max_examples=6, deadline=None)
@given(st.lists(st.sampled_from(STEPS), max_size=14))
def test_memory_is_never_behind(tmp_path_factory: pytest.TempPathFactory, steps: list[str]) -> None:
    """After any steps, commits that fail among them, what is remembered of a host is what the tables say."""
    folder = tmp_path_factory.mktemp("fleet")
    with SqliteStore(folder / "ledger.db", projections=projections()) as store:
        walk = _Walk(site(folder, store), store)
        for step in steps:
            with suppress(HwledgerError):
                getattr(walk, step)()
            for _ in range(2):
                kept = identities_of(store).of(store, walk.host.id)
                assert kept == store.query(lambda connection: identity_of(connection, walk.host.id))


class _Walk:
    """What can happen to a host."""

    def __init__(self, here: Site, store: SqliteStore) -> None:
        self._here, self._store, self.host = here, store, here.host()
        self._now = self._following = self.host

    def renew(self) -> None:
        """Ask for the next certificate."""
        key = new_key()
        answer = renew(self._here.fleet, self._here.authorities, self._now.member, make_request(key))
        self._following = Host(self.host.id, key, answer.certificate)

    def use(self) -> None:
        """Use it."""
        check_member(self._here.fleet, self._following.der, PAGE)
        self._now = self._following

    def go_back(self) -> None:
        """Use the first."""
        check_member(self._here.fleet, self.host.der, PAGE)

    def revoke(self) -> None:
        """Revoke the next."""
        revoke(self._here.fleet, self._following.member.serial, reason="x", actor="user:anna")

    def ban(self) -> None:
        """Ban it."""
        ban(self._here.fleet, self.host.id, reason="x", actor="user:anna")

    def retire(self) -> None:
        """Retire it."""
        retire(self._here.fleet, self.host.id, actor="user:anna")

    def approve(self) -> None:
        """Approve it."""
        approve(self._here.fleet, self.host.id, actor="user:anna")

    def wait(self) -> None:
        """Let two minutes pass."""
        self._here.clock.pass_hours(1 / 30)

    def join(self) -> None:
        """Let another host in."""
        self._here.host()

    def fail(self) -> None:
        """Ban it on a disk that is full: the projections hear of it, and it is undone."""
        insert = self._store._insert  # so that it fails where a disk does

        def full(*arguments: Any) -> None:
            insert(*arguments)
            raise FullError("the disk is full")

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(self._store, "_insert", full)
            self.ban()
