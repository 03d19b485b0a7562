"""The AWS Encryption SDK for Python, timing itself: see bench/support/peer-process.ts for what it is asked."""
import base64
import time

import aws_encryption_sdk
from aws_encryption_sdk.identifiers import (
    AlgorithmSuite,
    CommitmentPolicy,
    EncryptionKeyType,
    WrappingAlgorithm,
)
from aws_encryption_sdk.internal.crypto.wrapping_keys import WrappingKey
from aws_encryption_sdk.key_providers.raw import RawMasterKeyProvider
from json_lines import serve


class OneKey(RawMasterKeyProvider):
    """A raw master key provider over one key."""

    provider_id = None

    def __new__(cls, namespace, name, key):
        provider = super(OneKey, cls).__new__(cls)
        provider.provider_id = namespace
        provider.key = WrappingKey(
            WrappingAlgorithm.AES_256_GCM_IV12_TAG16_NO_PADDING, key, EncryptionKeyType.SYMMETRIC
        )
        return provider

    def __init__(self, namespace, name, key):
        self.add_master_key(name)

    def _get_raw_key(self, key_id):
        return self.key


class Peer:
    """What it was asked to prepare."""

    def __init__(self, request):
        self.suite = AlgorithmSuite.get_by_id(request["suite"])
        self.frame_length = request["frameLength"]
        policy = (
            CommitmentPolicy.REQUIRE_ENCRYPT_REQUIRE_DECRYPT
            if self.suite.is_committing()
            else CommitmentPolicy.FORBID_ENCRYPT_ALLOW_DECRYPT
        )
        self.client = aws_encryption_sdk.EncryptionSDKClient(commitment_policy=policy)
        key = base64.b64decode(request["wrappingKey"])
        self.provider = OneKey(request["keyNamespace"], request["keyName"], key)
        with open(request["plaintext"], "rb") as source:
            self.plaintext = source.read()
        with open(request["read"], "rb") as source:
            if self.decrypt(source.read()) != self.plaintext:
                raise ValueError("another plaintext")
        self.message = self.encrypt()
        with open(request["write"], "wb") as target:
            target.write(self.message)

    def encrypt(self):
        return self.client.encrypt(
            source=self.plaintext, key_provider=self.provider, algorithm=self.suite, frame_length=self.frame_length
        )[0]

    def decrypt(self, message):
        return self.client.decrypt(source=message, key_provider=self.provider)[0]


PEERS = {}


def answer(request):
    if request["operation"] == "prepare":
        PEERS["only"] = Peer(request)
        return {}
    peer = PEERS["only"]
    start = time.perf_counter()
    output = peer.encrypt() if request["operation"] == "encrypt" else peer.decrypt(peer.message)
    seconds = time.perf_counter() - start
    if len(output) < len(peer.plaintext):
        raise ValueError("too short")
    return {"seconds": seconds}


serve(answer)
